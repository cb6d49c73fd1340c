"""Molecular dynamics through AiiDA by the fast calculators of CHGNet and MACE, beside the stock ones."""

from pathlib import Path

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node
from aiida.plugins import CalculationFactory
from ase import Atoms
from ase.build import bulk

from aiida_hdiff.data.potential import PotentialData
from tests.integration.test_label import ROOT, engine_with

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.fixture
def run(aiida_code_installed, aiida_profile):
    """Give a function that runs a job with the engine that has a package."""

    def run(plugin, module, environment=None, **inputs):
        code = aiida_code_installed(default_calc_job_plugin=plugin, filepath_executable=engine_with(module))
        variables = {'OMP_NUM_THREADS': '1', 'MKL_NUM_THREADS': '1', 'PYTHONPATH': str(ROOT), **(environment or {})}
        options = {'environment_variables': variables}
        return run_get_node(CalculationFactory(plugin), code=code, **inputs, metadata={'options': options})

    return run


@pytest.fixture
def hydride():
    """Return magnesium with a hydrogen atom on a tetrahedral site."""
    atoms = bulk('Mg', 'hcp', a=3.21, c=5.21).repeat((2, 2, 1))
    atoms += Atoms('H', positions=[atoms.positions[0] + np.array([0, 0, 0.625 * 5.21])])
    return orm.StructureData(ase=atoms)


def stage(**changes):
    values = {
        'ensemble': 'nve', 'temperature_K': 300.0, 'steps': 20, 'timestep_fs': 0.5, 'output_interval': 5, 'seed': 4,
    }  # fmt: skip
    return orm.Dict({**values, **changes})


def positions_of(outputs):
    with outputs['trajectory'].reader() as reader:
        return reader.positions(), reader.observable('potential_energy')


@pytest.mark.parametrize('ensemble', ['nve', 'npt'])
def test_chgnet(run, hydride, ensemble):
    potential = PotentialData(architecture='chgnet', elements=['H', 'Mg']).store()
    found = {}
    for calculator in ('auto', 'stock'):
        outputs, node = run(
            'hdiff.md', 'chgnet', potential=potential, structure=hydride,
            parameters=stage(ensemble=ensemble, calculator=calculator),
        )  # fmt: skip
        assert node.is_finished_ok, node.exit_message
        record = outputs['results']['calculator']
        assert record['implementation'] == {'auto': 'fast_chgnet', 'stock': 'chgnet'}[calculator]
        assert ('check' in record) == (calculator == 'auto')
        found[calculator] = positions_of(outputs)
    for fast, stock, limit in zip(found['auto'], found['stock'], (1e-5, 1e-4), strict=True):
        np.testing.assert_allclose(fast, stock, atol=limit)


def test_mace_is_converted_once_and_runs(run, hydride, tmp_path):
    """The conversion, its use by a run, and the same run by mace-torch; without a compiler, which would take minutes."""
    engine = engine_with('symmetrix')
    model = small_model(engine, tmp_path)
    environment = {'CXX': '/no/such/compiler'}
    outputs, node = run('hdiff.mace_convert', 'symmetrix', environment, potential=model, structure=hydride)
    assert node.is_finished_ok, (node.exit_message, node.outputs.retrieved.get_object_content('engine.out'))
    results = outputs['results'].get_dict()
    assert max(frame['forces_eV_A'] for frame in results['frames']) < 1e-4
    assert min(frame['largest_force_eV_A'] for frame in results['frames']) > 0.1
    assert 'symmetrix-xl' in results['versions']
    converted = outputs['potential']
    assert converted.converted_file is not None
    found = {}
    for name, potential, calculator in (
        ('symmetrix', converted, 'auto'),
        ('stock', converted, 'stock'),
        ('unconverted', model, 'auto'),
    ):
        outputs, node = run(
            'hdiff.md', 'symmetrix', environment, potential=potential, structure=hydride,
            parameters=stage(ensemble='npt', calculator=calculator),
        )  # fmt: skip
        assert node.is_finished_ok, node.exit_message
        found[name] = positions_of(outputs)
        record = outputs['results']['calculator']
        assert record['implementation'] == ('symmetrix' if name == 'symmetrix' else 'mace_torch')
        if name == 'symmetrix':
            assert record['variant'] == 'non-compiled'
            assert 'kernels were not compiled' in record['warning']
        if name == 'unconverted':
            assert 'has not been converted' in record['warning']
    np.testing.assert_array_equal(found['stock'][0], found['unconverted'][0])
    np.testing.assert_allclose(found['symmetrix'][0], found['stock'][0], atol=1e-5)
    np.testing.assert_allclose(found['symmetrix'][1], found['stock'][1], atol=1e-5)


def test_models_that_cannot_be_converted(run, hydride, tmp_path):
    model = small_model(engine_with('symmetrix'), tmp_path, max_ell=2)
    outputs, node = run('hdiff.mace_convert', 'symmetrix', potential=model, structure=hydride)
    assert node.exit_status == 427, node.exit_message
    assert '`max_ell: 3`' in node.exit_message
    assert 'potential' not in outputs


def small_model(engine, folder, **options):
    """Return a small MACE, written by the Python beside an engine."""
    import subprocess

    target = folder / 'model'
    script = f'from tests.engine.test_fast_mace import write_model; write_model({str(target)!r}, **{options!r})'
    subprocess.run([Path(engine).parent / 'python', '-c', script], cwd=ROOT, check=True, capture_output=True)
    return PotentialData(architecture='mace', elements=['H', 'Mg'], files=[target.read_bytes()]).store()


def test_conversion_from_the_command_line(aiida_code_installed, hydride, tmp_path):
    from click.testing import CliRunner

    from aiida_hdiff.cli import main

    engine = engine_with('symmetrix')
    aiida_code_installed(
        label='fast-engine',
        default_calc_job_plugin='hdiff.mace_convert',
        filepath_executable=engine,
        prepend_text=f'export CXX=/no/such/compiler PYTHONPATH={ROOT}',
    )
    model = small_model(engine, tmp_path)
    hydride.get_ase().write(tmp_path / 'hydride.cif')
    arguments = ['potential', 'convert', str(model.pk), str(tmp_path / 'hydride.cif'), '--code', 'fast-engine']
    result = CliRunner().invoke(main, [*arguments, '--dtype', 'float32'])
    assert result.exit_code == 0, result.output
    assert 'of mace-torch' in result.output
    converted = orm.load_node(int(result.output.split('potential ')[1].split(':')[0]))
    assert converted.converted_file is not None
    assert converted.options['dtype'] == 'float32'
