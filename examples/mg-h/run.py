"""The reference study of hydrogen in magnesium at small scale, offline: from nothing to its report and archive.

VASP cannot be shipped, so its stand-in runs: the frames have labels of CHGNet's r2SCAN weights and nothing of DFT.
The pretrained models are at another level, CHGNet 0.3.0 and a small MACE model that is distilled from it first.

In an environment with `pip install "aiida-hdiff[demo,chgnet,mace,vasp-standin]"`:

    aiida-hdiff setup && verdi -p hdiff daemon start 1 && python examples/mg-h/run.py

It takes about an hour on two cores. Run again, it goes on with what is in the profile.
"""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from aiida import load_profile, orm
from aiida.engine import submit
from aiida.plugins import CalculationFactory, WorkflowFactory
from ase.data import atomic_masses, atomic_numbers

from aiida_hdiff.calculations.close_contacts import close_contact_frames
from aiida_hdiff.calculations.datasets import frames_from_trajectories, merge_datasets
from aiida_hdiff.calculations.splits import split_dataset
from aiida_hdiff.calculations.structures import create_host, insert_hydrogen
from aiida_hdiff.cli.archive import write_archive
from aiida_hdiff.data.dataset import LabelledDataset
from aiida_hdiff.data.potential import PotentialData
from aiida_hdiff.report.collect import collect_study
from aiida_hdiff.report.html import render_html
from aiida_hdiff.report.table import results_table
from aiida_hdiff.workflows.study import study_builder
from aiida_hdiff.workflows.training_study import training_builder

FOLDER = Path(__file__).resolve().parent
OUTPUT = Path('mg-h-study')
ELEMENTS = ('Mg', 'H')
ONE_THREAD = {'environment_variables': {'OMP_NUM_THREADS': '1', 'MKL_NUM_THREADS': '1'}}
STRAINED = {'max_strain': 0.12, 'rattle_A': 0.15, 'h_h_A': [1.5, 2.5], 'h_host_A': [1.5, 1.9]}
SMALL_MACE = {'r_max': 5.0, 'num_channels': 16, 'max_L': 0, 'max_ell': 2, 'correlation': 2, 'max_num_epochs': 40}
ATOMS = {'Mg': 0.3, 'H': -1.15}
"""Energies of atoms 5.8 Å apart by CHGNet 0.3.0 (eV): with fitted ones a hot cell gains by flying apart."""
FAMILY = 'stand-in'
NOT_A_POTCAR = """  PAW_PBE {symbol} 01Jan2000
   1.00000000000000
 parameters from PSCTR are:
   VRHFIN ={symbol}: not a POTCAR, for the stand-in of VASP
   LEXCH  = PE
   EATOM  =     1.0000 eV,    0.1000 Ry

   TITEL  = PAW_PBE {symbol} 01Jan2000
   LULTRA =        F    use ultrasoft PP ?
   IUNSCR =        0    unscreen: 0-lin 1-nonlin 2-no
   RPACOR =     .000    partial core radius
   POMASS = {mass:8.3f}; ZVAL   =    1.000    mass and valenz
   RCORE  =    1.100    outmost cutoff radius
   ENMAX  =  250.000; ENMIN  =  187.500 eV
   LCOR   =        T    correct aug charges
   LPAW   =        T    paw PP
 END of PSCTR-controll parameters
 local part: none
 End of Dataset
"""


def main() -> None:
    """Run all stages, write report and archive."""
    load_profile('hdiff')
    started = time.monotonic()
    ensure_standin()
    training = start_training()
    small = start_foundation(started)
    frames(training, started)
    keep_foundation(small, started)
    study = submit(study_builder(yaml.safe_load((FOLDER / 'study.yaml').read_text()), FOLDER))
    say(started, f'study {study.pk}: follow it with `aiida-hdiff status {study.pk} --watch`')
    wait(study)
    OUTPUT.mkdir(exist_ok=True)
    result = collect_study(study)
    (OUTPUT / 'report.html').write_text(render_html(result), encoding='utf-8')
    write_archive(study, OUTPUT / 'study.aiida')
    print(results_table(result))
    say(started, f'study {study.pk} ended with status {study.exit_status} {study.exit_message or ""}')
    print(f'report and archive are in {OUTPUT}/')


def ensure_standin() -> None:
    """Set up the stand-in as a code, and files in the place of POTCARs."""
    from aiida_vasp.data.potcar import PotcarData

    if not orm.QueryBuilder().append(orm.InstalledCode, filters={'label': 'vasp'}).count():
        executable = shutil.which('hdiff-vasp-standin') or str(Path(sys.executable).parent / 'hdiff-vasp-standin')
        orm.InstalledCode(
            label='vasp', computer=orm.load_computer('localhost'), filepath_executable=executable,
            default_calc_job_plugin='hdiff.vasp_mlff', description='Stand-in, not VASP',
        ).store()  # fmt: skip
    with TemporaryDirectory() as scratch:
        for symbol in ELEMENTS:
            file = Path(scratch) / FAMILY / symbol / 'POTCAR'
            file.parent.mkdir(parents=True)
            file.write_text(NOT_A_POTCAR.format(symbol=symbol, mass=atomic_masses[atomic_numbers[symbol]]))
        PotcarData.upload_potcar_family(Path(scratch) / FAMILY, FAMILY, 'No POTCARs.', stop_if_existing=False)


def start_training() -> orm.WorkChainNode:
    """Submit the on-the-fly training; return one that is there already."""
    content = yaml.safe_load((FOLDER / 'training.yaml').read_text())
    query = orm.QueryBuilder().append(orm.WorkChainNode, filters={'label': content['title']})
    for (node,) in query.all():
        if not node.is_terminated or node.is_finished_ok:
            return node
    return submit(training_builder(content, FOLDER))


def start_foundation(started: float) -> orm.ProcessNode | None:
    """Submit the training of a small MACE model on labels of CHGNet 0.3.0, unless there is one already."""
    if named(PotentialData, 'mace-foundation'):
        return None
    engine = orm.load_code('hdiff-engine@localhost')
    chgnet = PotentialData.get_or_create(PotentialData.from_chgnet('0.3.0'))
    host = create_host(orm.Dict({'host': 'Mg', 'lattice': 'hcp', 'supercell': [2, 2, 2]}))
    runs, cells = {}, {}
    for count in (1, 2, 4):
        name = f'h{count}'
        cells[name] = insert_hydrogen(host, orm.Dict({'n_hydrogen': count, 'sites': 'tetrahedral', 'seed': count}))
        for kelvin in (300.0, 600.0, 900.0):
            parameters = {'ensemble': 'npt', 'temperature_K': kelvin, 'steps': 400, 'timestep_fs': 1.0, 'seed': count}
            runs[f'{name}_{kelvin:.0f}K'] = submit(
                CalculationFactory('hdiff.md'), code=engine, structure=cells[name], potential=chgnet,
                parameters=orm.Dict({**parameters, 'output_interval': 20, 'thermostat_time_fs': 50.0}),
                metadata={'label': f'{name} {kelvin:.0f} K', 'options': ONE_THREAD},
            )  # fmt: skip
            if len(runs) % 2 == 0:
                wait(*runs.values())
    wait(*runs.values())
    moved = frames_from_trajectories(
        orm.Dict({'stride': 1}), **{name: node.outputs.trajectory for name, node in runs.items()}
    )
    near = close_contact_frames(orm.Dict({'n_frames': 40, 'seed': 1}), **cells)
    strained = close_contact_frames(orm.Dict({**STRAINED, 'n_frames': 60, 'seed': 3}), **cells)
    labels = {
        name: submit(
            WorkflowFactory('hdiff.label'), code=engine, frames=node, potential=chgnet,
            settings=orm.Dict({'calculator': 'chgnet'}), options=ONE_THREAD,
        )
        for name, node in {'moved': moved, 'near': near, 'strained': strained}.items()
    }  # fmt: skip
    wait(*labels.values())
    joined = merge_datasets(orm.Dict({}), **{name: node.outputs.dataset for name, node in labels.items()})['dataset']
    parts: Any = split_dataset(calm(joined), orm.Dict({'by': 'random', 'seed': 1, 'valid': 0.1}))
    say(started, f'the small MACE model learns from {parts["train"].n_frames} frames of CHGNet 0.3.0')
    return submit(
        WorkflowFactory('hdiff.mace_train'), code=engine, train=parts['train'], valid=parts['valid'], seed=orm.Int(1),
        config=orm.Dict(SMALL_MACE), settings=orm.Dict({'e0s': ATOMS}), options=ONE_THREAD,
    )  # fmt: skip


def keep_foundation(node: orm.ProcessNode | None, started: float) -> None:
    """Wait for the small MACE model, which takes the place of a foundation model, and name it."""
    if node is None:
        return
    wait(node)
    node.outputs.potential.label = 'mace-foundation'
    say(started, f'mace-foundation is potential {node.outputs.potential.pk}')


def frames(training: orm.WorkChainNode, started: float) -> None:
    """Split the frames of the training on the fly; add strained ones with close contacts, labelled alike, to train on.

    Hot cells breathe more than the short training has seen: without strained frames the MACE models resist an expansion
    by a tenth with half the stress that they should.
    """
    if named(LabelledDataset, 'mg-h-train'):
        return
    wait(training)
    inputs = training.inputs
    content = yaml.safe_load((FOLDER / 'training.yaml').read_text())
    vasp = {
        'parameters': orm.Dict(inputs.settings['incar']),
        'kpoints': inputs.kpoints,
        'potcars': dict(inputs.potcars),
    }
    wishes = {'near': {'n_frames': 24, 'seed': 2}, 'strained': {**STRAINED, 'n_frames': 60, 'seed': 4}}
    labels = {
        name: submit(
            WorkflowFactory('hdiff.label'), code=inputs.code, vasp=vasp, options=content['options'],
            frames=close_contact_frames(orm.Dict(wish), cell=inputs.structure),
        )
        for name, wish in wishes.items()
    }  # fmt: skip
    wait(*labels.values())
    more = {name: calm(node.outputs.dataset) for name, node in labels.items()}
    settings = orm.Dict({'by': 'blocks', 'seed': 1, 'valid': 0.15, 'test': 0.2})
    parts: Any = split_dataset(training.outputs.dataset, settings)
    train: Any = merge_datasets(orm.Dict({}), training=parts['train'], **more)
    sets = {'train': train['dataset'], 'valid': parts['valid'], 'test': parts['test']}
    for name, one in sets.items():
        one.label = f'mg-h-{name}'
    say(started, f'frames: {", ".join(f"{one.n_frames} {name}" for name, one in sets.items())}')


def calm(dataset: LabelledDataset) -> LabelledDataset:
    """Return the frames whose forces do not dominate a fit."""
    from aiida_hdiff.calculations.datasets import filter_dataset

    return filter_dataset(dataset, orm.Dict({'max_force_eV_A': 10.0}))['dataset']


def named(kind: type, label: str) -> bool:
    """Return whether a node with this label is there."""
    return orm.QueryBuilder().append(kind, filters={'label': label}).count() > 0


def wait(*nodes: orm.ProcessNode) -> None:
    """Wait until processes have ended; stop where one of them has failed."""
    while not all(node.is_terminated for node in nodes):
        time.sleep(2.0)
    for node in nodes:
        if not node.is_finished_ok and not (node.exit_status or 0) >= 700:
            sys.exit(f'{node.process_label} {node.pk} failed: {node.exit_message}')


def say(started: float, text: str) -> None:
    """Print a line with the minutes since the start."""
    print(f'{(time.monotonic() - started) / 60.0:5.1f} min  {text}', flush=True)


if __name__ == '__main__':
    main()
