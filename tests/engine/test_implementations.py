"""The choice between a fast and a stock calculator, with calculators of ASE in their roles."""

import json

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones

from aiida_hdiff.engine.calculators import build_calculator
from aiida_hdiff.engine.exit_codes import BAD_INPUT, MODEL_NOT_LOADED, MODEL_REFUSED, EngineError
from aiida_hdiff.engine.fast_mace import plain_data_error, require_plain_data
from aiida_hdiff.engine.implementations import (
    NotApplicableError,
    calculator_record,
    choose,
    differences,
    excess,
    replaced_if_wrong,
)
from aiida_hdiff.engine.md_input import Potential
from aiida_hdiff.engine.parameters import MDParameters

STAGE = {
    'ensemble': 'nve', 'temperature_K': 300.0, 'steps': 10, 'timestep_fs': 0.5, 'output_interval': 1, 'seed': 1,
}  # fmt: skip


def refuse():
    raise NotApplicableError('the model is too new')


@pytest.fixture
def copper():
    atoms = bulk('Cu', cubic=True)
    atoms.rattle(0.1, seed=1)
    return atoms


def test_what_is_chosen():
    assert isinstance(choose('auto', EMT, LennardJones, 'lj'), EMT)
    assert isinstance(choose('stock', EMT, LennardJones, 'lj'), LennardJones)
    fallen_back = choose('auto', refuse, LennardJones, 'lj')
    assert calculator_record(fallen_back) == {
        'implementation': 'lj', 'warning': 'the model is too new; lj was used instead.',
    }  # fmt: skip
    with pytest.raises(EngineError, match='the model is too new') as caught:
        choose('fast', refuse, LennardJones, 'lj')
    assert caught.value.exit_code == BAD_INPUT
    assert calculator_record(EMT()) == {'implementation': 'ase'}


def test_one_that_agrees_stays(copper):
    copper.calc = choose('auto', EMT, EMT, 'emt')
    copper.get_stress(), copper.get_forces()
    assert not replaced_if_wrong(copper, 'auto')
    assert calculator_record(copper.calc)['check']['forces_eV_A'] < 1e-12


def test_one_that_differs_is_replaced_or_refused(copper):
    def other():
        return LennardJones(epsilon=1.0, sigma=2.3, rc=6.0)

    copper.calc = choose('auto', other, EMT, 'emt')
    copper.get_forces()
    with pytest.raises(EngineError, match='does not give what the model does') as caught:
        replaced_if_wrong(copper, 'fast')
    assert caught.value.exit_code == MODEL_NOT_LOADED
    assert replaced_if_wrong(copper, 'auto')
    assert isinstance(copper.calc, EMT)
    assert 'energy_eV_per_atom differs by' in calculator_record(copper.calc)['warning']
    assert not replaced_if_wrong(copper, 'auto')


def test_differences_and_their_limits():
    forces, stress = np.zeros((2, 3)), np.diag([1e-3, 0, 0])
    found = {'energy': 1.0, 'forces': forces + 3e-4, 'stress': stress[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]}
    difference = differences(found, {'energy': 1.0 + 1e-5, 'forces': forces, 'stress': stress})
    assert difference == pytest.approx({'energy_eV_per_atom': 5e-6, 'forces_eV_A': 3e-4, 'stress_eV_A3': 0.0})
    assert excess(difference, 1.0) is None
    assert 'forces_eV_A' in excess({**difference, 'forces_eV_A': 7e-4}, 1.0)
    assert excess({**difference, 'forces_eV_A': 7e-4}, 5.0) is None
    assert 'stress_eV_A3' in excess({**difference, 'stress_eV_A3': np.nan}, 1.0)


def test_the_setting_of_a_stage():
    assert 'calculator' not in MDParameters.from_dict(STAGE).as_dict()
    assert MDParameters.from_dict({**STAGE, 'calculator': 'stock'}).as_dict()['calculator'] == 'stock'
    with pytest.raises(ValueError, match="`calculator` is 'quick': choose one of auto, fast, stock"):
        MDParameters.from_dict({**STAGE, 'calculator': 'quick'})
    with pytest.raises(EngineError, match='is for chgnet and mace, not for emt') as caught:
        build_calculator(Potential('emt', None, {}, implementation='fast'), with_stress=False, threads=1)
    assert caught.value.exit_code == BAD_INPUT


PLAIN = {'model_type': 'MACE', 'layout': 'lm=l*l+l+m', 'irreps': '128x0e+128x1o', 'weights': [1.0, 2], 'heads': None}


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (b'\x80\x02}q\x00.', 'it is no JSON'),
        (b'[1, 2]', 'it is no JSON object'),
        (b'[' * 100000, 'it is no JSON'),
        (json.dumps({**PLAIN, 'layout': '"; system("id"); //'}).encode(), 'which no converted model has'),
        (json.dumps({**PLAIN, 'more': [{'a\n#include "x"': 1}]}).encode(), 'which no converted model has'),
        (json.dumps({**PLAIN, 'more': 'x' * 300}).encode(), 'which no converted model has'),
    ],
)
def test_converted_models_that_are_more_than_data(tmp_path, content, message):
    assert message in plain_data_error(content)
    (tmp_path / 'converted.json').write_bytes(content)
    with pytest.raises(EngineError, match=message) as caught:
        require_plain_data(tmp_path / 'converted.json')
    assert caught.value.exit_code == MODEL_REFUSED


def test_converted_models_that_are_data():
    assert plain_data_error(json.dumps(PLAIN).encode()) is None
