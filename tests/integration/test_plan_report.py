"""The report of a study with a training plan, made from its archive without importing it."""

import csv
import json
from dataclasses import replace

import jsonschema
import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node
from aiida.tools.archive import create_archive
from ase.build import bulk
from ase.calculators.emt import EMT
from click.testing import CliRunner

from aiida_hdiff.cli import main
from aiida_hdiff.data.dataset import LabelledDataset
from aiida_hdiff.data.potential import PotentialData
from aiida_hdiff.formats import LabelledFrame, LabelledFrames
from aiida_hdiff.report.results import results_schema
from aiida_hdiff.workflows.diffusion import DiffusionWorkChain
from tests.conftest import nickel_hydride

pytestmark = pytest.mark.integration

STAGE = {'time_ps': 0.04, 'output_interval_fs': 1.0, 'checkpoint_interval_ps': 0.02}
SETTINGS = {
    'npt': {**STAGE, 'barostat_time_fs': 200.0},
    'nvt': STAGE,
    'nve': {'time_ps': 0.2, 'output_interval_fs': 1.0, 'checkpoint_interval_ps': 0.1},
    'analysis': {'window_ps': [0.008, 0.02], 'jump_length_A': 0.5, 'rdf_frame_interval_fs': 10.0},
    'gate': {'temperature_tolerance_K': 5000.0, 'drift_limit_meV_per_atom_per_ns': 1e6},
}


def labelled(n_frames):
    """Return rattled nickel with hydrogen, labelled by EMT."""
    rng, frames = np.random.default_rng(4), []
    for index in range(n_frames):
        atoms = bulk('Ni', 'fcc', a=3.52 * rng.uniform(0.99, 1.03), cubic=True)
        atoms.extend(nickel_hydride(1, 1 + index % 2)[4:])
        atoms.positions += rng.normal(0.0, 0.06, atoms.positions.shape)
        atoms.calc = EMT()
        for label in ('potential_energy', 'forces', 'stress'):
            getattr(atoms, f'get_{label}')()
        frames.append(replace(LabelledFrame.from_ase(atoms), origin=f'md:{index}', reference='emt'))
    return LabelledFrames.from_frames(frames)


def test_report_of_an_archive(aiida_profile_clean, code, eam_potential, nickel_hydrogen, tmp_path):
    """EAM passes; EMT has no error, since it made the labels, but hydrogen flies out of its nickel."""
    builder = DiffusionWorkChain.get_builder_from_protocol(
        nickel_hydrogen((2, 2, 2), 4), {}, {'lammps': code('lmp'), 'engine': code('hdiff-engine')}, [900, 1300],
        protocol='demo', overrides=SETTINGS,
    )  # fmt: skip
    potentials = {'eam': eam_potential, 'emt': PotentialData(architecture='emt', elements=['Ni', 'H'])}
    builder.training = {
        'plan': {
            label: {'kind': orm.Str('pretrained'), 'potential': potential} for label, potential in potentials.items()
        },
        'test': LabelledDataset(labelled(6)),
        'gate': orm.Dict({'smoke_time_ps': 0.05, 'energy_rmse_meV_per_atom': None, 'force_rmse_meV_A': None}),
    }
    _, node = run_get_node(builder)
    assert node.exit_status in (510, 713), node.exit_message
    archive = tmp_path / 'study.aiida'
    create_archive([node], filename=archive, test_run=False)

    page, data, figures = tmp_path / 'report.html', tmp_path / 'data', tmp_path / 'figures'
    arguments = ['report', str(archive), '-o', str(page), '--data', str(data), '--figures', str(figures)]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    html = page.read_text(encoding='utf-8')
    assert 'ran no long molecular dynamics: ' in html
    assert 'id="figure-errors"' in html
    assert 'id="figure-parity"' in html
    with (data / 'comparison.csv').open(encoding='utf-8') as handle:
        rows = {row['key']: row for row in csv.DictReader(handle)}
    assert [rows[label]['gate'] for label in potentials] == ['passed', 'failed']
    assert 'the smoke run failed' in rows['emt']['gate_reason']
    assert float(rows['emt']['test_force_meV_A']) < 1e-3 < float(rows['eam']['test_force_meV_A'])
    assert float(rows['eam']['md_steps_per_s']) > 0.0
    assert {path.name for path in figures.glob('*.pdf')} >= {'errors.pdf', 'parity_eam.pdf', 'parity_emt.pdf'}
    shown = CliRunner().invoke(main, ['show', str(archive)], catch_exceptions=False)
    assert 'emt (left out)' in shown.output
    shown = CliRunner().invoke(main, ['show', str(archive), '--json'], catch_exceptions=False)
    content = json.loads(shown.output)
    jsonschema.validate(content, results_schema())
    assert content['potentials'][0]['model']['gate'] == {'passed': True, 'reasons': []}
