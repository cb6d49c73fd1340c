"""The parser on files that VASP wrote, if there are any here: set HDIFF_VASP_SAMPLES to their folder.

They are of VASP 6.3, which does not know ML_MODE: the parser saves everything and refuses the version. Where the exit
code of a later version is tested, the version in a copy of the file is changed.
"""

import gzip
import os
from pathlib import Path

import numpy as np
import pytest
from aiida import orm

from aiida_hdiff.common.units import BOLTZMANN_EV_PER_K
from aiida_hdiff.formats.ionic_step import VaspHeader
from aiida_hdiff.formats.outcar import iter_outcar
from aiida_hdiff.formats.poscar import read_contcar
from aiida_hdiff.formats.vasprun import iter_vasprun
from tests.vasp_fixtures import upload_fake_potcars

SAMPLES = os.environ.get('HDIFF_VASP_SAMPLES')
pytestmark = pytest.mark.skipif(
    not SAMPLES, reason='HDIFF_VASP_SAMPLES does not name a folder of files written by VASP'
)
pytest.importorskip('aiida_vasp', reason='aiida-vasp is not installed')

TRAINING = 'pymatgen-core/vasprun.ml_md.xml.gz'
LANGEVIN = 'dpdata/OUTCAR.ch4.ml'


def sample(name):
    path = Path(SAMPLES, name)
    if not path.exists():
        pytest.skip(f'{name} is not among the samples')
    content = path.read_bytes()
    return gzip.decompress(content) if content[:2] == b'\x1f\x8b' else content


@pytest.fixture(scope='module')
def potcars(aiida_profile, tmp_path_factory):
    """Give a factory of POTCAR inputs, which are none of VASP."""

    def factory(symbols):
        nodes = upload_fake_potcars(tmp_path_factory.mktemp('potcars'), symbols)
        return {f'potential__{kind}': node for kind, node in nodes.items()}

    return factory


@pytest.fixture
def parse(generate_calc_job_node, generate_structure, potcars, tmp_path):
    """Give a function that puts samples into a job folder under the names of VASP, and parses it."""
    from aiida.plugins import ParserFactory
    from ase import Atoms

    def run(files, version=None, inputs=None, **incar):
        folder, retrieved = tmp_path / 'run', tmp_path / 'retrieved'
        folder.mkdir()
        retrieved.mkdir()
        (retrieved / 'vasp_output').write_text(' running on    4 total cores\n')
        for target, name in files.items():
            content = sample(name)
            for old in (b'6.3.0', b'6.3.2'):
                content = content.replace(old, version, 1) if version else content
            (folder / target).write_bytes(content)
        header, positions, cell = first_structure(folder)
        atoms = Atoms(header.symbols, positions=positions, cell=cell, pbc=True)
        kpoints = orm.KpointsData()
        kpoints.set_kpoints_mesh([1, 1, 1])
        given = {
            'structure': generate_structure(atoms=atoms),
            'parameters': orm.Dict({'ML_MODE': 'train', 'NSW': 100, 'POTIM': 1.0, 'MDALGO': 0, **incar}),
            'kpoints': kpoints,
            **potcars(tuple(dict.fromkeys(header.symbols))),
            **(inputs or {}),
        }
        node = generate_calc_job_node(
            'hdiff.vasp_mlff', given, retrieved=retrieved, attributes={'output_filename': 'vasp_output'}
        )
        return ParserFactory('hdiff.vasp_mlff').parse_from_node(
            node, store_provenance=False, retrieved_temporary_folder=str(folder)
        )

    return run


def first_structure(folder):
    """Return header, positions and cell of the start; OUTCAR has them in its first step."""
    if (folder / 'vasprun.xml').exists():
        header: VaspHeader = iter_vasprun(folder / 'vasprun.xml').header
        return header, header.positions, header.cell
    stream = iter_outcar(folder / 'OUTCAR', allow_truncated=True)
    step = next(stream)
    return stream.header, step.positions, step.cell


def test_training_run(parse):
    """Eighty atoms, twenty steps of DFT among hundred; the thermostat is Nosé's."""
    thermostat = list(iter_vasprun(Path(SAMPLES, TRAINING)))[-1].thermostat_energy
    outputs, node = parse({'vasprun.xml': TRAINING}, b'6.4.3')
    assert node.exit_status == 0, node.exit_message
    with outputs['trajectory'].reader() as reader:
        assert reader.steps.tolist() == list(range(100))
        kinetic, potential = reader.observable('kinetic_energy'), reader.observable('potential_energy')
        np.testing.assert_allclose(
            reader.observable('temperature'), kinetic / (1.5 * 79 * BOLTZMANN_EV_PER_K), rtol=1e-12
        )
        # VASP wraps the positions with MDALGO=0; no atom moves further than a part of a bond in a step.
        moves = np.diff(reader.positions(), axis=0)
        assert np.abs(moves).max() < 0.15
    assert potential[-1] + kinetic[-1] + thermostat == pytest.approx(-491.51831988, abs=1e-7)
    assert int(outputs['sources'].get_array('dft').sum()) == 20
    state = outputs['final_state']
    assert state.step == 100
    with outputs['trajectory'].reader() as reader:
        moved = state.get_array('positions') - reader.positions()[-1]
    np.testing.assert_allclose(moved, 1.0 * state.velocities, atol=6e-6)
    frames = outputs['dataset'].frames()
    assert (len(frames), set(frames.n_atoms)) == (20, {80})
    assert frames.origins[0].startswith('step 0 ')
    assert outputs['misc']['n_configurations'] is None


def test_old_version_is_refused_with_all_outputs(parse):
    outputs, node = parse({'vasprun.xml': TRAINING})
    assert node.exit_status == 425
    assert {'trajectory', 'final_state', 'dataset', 'misc'} <= set(outputs)


@pytest.mark.parametrize(
    ('tags', 'mode'), [({'ML_LMLFF': True, 'ML_ISTART': 0}, 'train'), ({'ML_LMLFF': '.T.', 'ML_ISTART': 1}, 'train')]
)
def test_training_as_vasp_63_wrote_it(parse, tags, mode):
    """Without ML_MODE nothing was asked for that the old version ignores."""
    outputs, node = parse({'vasprun.xml': TRAINING}, ML_MODE=None, **tags)
    assert node.exit_status == 0, node.exit_message
    assert outputs['misc']['mode'] == mode


def test_plain_molecular_dynamics(parse):
    """Every step is a labelled frame."""
    outputs, node = parse({'vasprun.xml': 'pymatgen-core/vasprun.md.xml.gz'}, ML_MODE=None, NSW=10, POTIM=3.0, MDALGO=2)
    assert node.exit_status == 0, node.exit_message
    assert outputs['misc']['mode'] == 'none'
    assert outputs['dataset'].n_frames == outputs['trajectory'].n_frames == 10
    assert outputs['dataset'].base.attributes.get('has_stress')
    np.testing.assert_array_equal(outputs['sources'].get_array('dft'), True)
    with outputs['trajectory'].reader() as reader:
        assert reader.observable('temperature')[0] == pytest.approx(2000.0, rel=1e-4)


def test_langevin_run(parse):
    """Methane at constant pressure, from OUTCAR alone."""
    outputs, node = parse({'OUTCAR': LANGEVIN}, b'6.4.3', NSW=10, MDALGO=3)
    assert node.exit_status == 0, node.exit_message
    misc = outputs['misc'].get_dict()
    assert (misc['n_dft_steps'], misc['n_ml_steps']) == (4, 6)
    assert misc['steps_per_s'] == pytest.approx(10 / 4.234)
    # VASP prints the temperature of atoms and lattice together, of 3 N + 9 degrees of freedom.
    with outputs['trajectory'].reader() as reader:
        temperatures, cells = reader.observable('temperature'), reader.cells
    printed = [3.43, 3.58, 3.71, 3.62, 3.42, 3.30, 3.40, 3.67, 3.81]
    assert np.all(temperatures * 15 / 24 < printed)
    assert np.ptp(cells[:, 0, 0]) > 0
    state = outputs['final_state']
    assert state.step == 9
    assert state.lattice_velocities is not None
    assert any('CONTCAR cannot be used' in warning for warning in misc['warnings'])


def test_killed_runs(parse):
    outputs, node = parse(
        {'OUTCAR': 'vasp-interactive/OUTCAR.istart0', 'ML_ABN': 'vasp-interactive/ML_AB.H2'}, b'6.4.3', NSW=50
    )
    assert node.exit_status == 401
    frames = outputs['dataset'].frames()
    assert len(frames) == 43
    assert frames.origins[0] == 'step 0'
    assert frames.origins[5] == 'ML_ABN 6'
    assert frames.scf_converged[0] == 1
    assert outputs['misc']['n_configurations'] == 43
    assert outputs['misc']['n_local_configurations']['H'] > 1


@pytest.mark.parametrize(('number', 'n_dft', 'n_ml'), [(1, 10, 3), (2, 0, 3)])
def test_other_killed_runs(parse, number, n_dft, n_ml):
    outputs, node = parse({'OUTCAR': f'vasp-interactive/OUTCAR.istart{number}'}, b'6.4.3', NSW=50)
    assert node.exit_status == 401
    misc = outputs['misc'].get_dict()
    assert (misc['n_dft_steps'], misc['n_ml_steps']) == (n_dft, n_ml)
    assert outputs['final_state'].step == n_dft + n_ml - 1


@pytest.mark.parametrize('kind', ['no_calculation', 'outmode0_like'])
def test_prediction_only(parse, kind):
    outputs, node = parse({'vasprun.xml': f'derived/vasprun.ml_md.{kind}.xml.gz'}, b'6.4.3', NSW=80, ML_MODE='run')
    assert node.exit_status in ((0,) if kind == 'no_calculation' else (0, 402))
    assert (outputs['misc']['n_ml_steps'], outputs['misc']['n_dft_steps']) == (80, 0)
    assert ('trajectory' in outputs) == (kind == 'no_calculation')


def test_state_of_contcar(tmp_path):
    """CONTCAR leads to the configuration after the last: one time step further with the velocities that it has."""
    path = tmp_path / 'CONTCAR'
    path.write_bytes(sample('pymatgen-core/CONTCAR.MD.npt'))
    contcar = read_contcar(path)
    assert contcar.next_positions is not None
    assert np.abs(contcar.next_cell - contcar.cell).max() > 1e-4
