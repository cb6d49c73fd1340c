"""Every end of the conversion of a MACE model."""

import json

import pytest
from aiida import orm
from aiida.plugins import ParserFactory

from aiida_hdiff.calculations import mace_convert as files
from aiida_hdiff.calculations.engine_job import STATUS_FILE
from aiida_hdiff.calculations.mace_convert import MaceConvertCalculation
from aiida_hdiff.engine import exit_codes as engine

CONVERTED = json.dumps({'model_type': 'MACE', 'r_cut': 4.0}).encode()
COMPARISON = {
    'calculator': {'implementation': 'symmetrix', 'variant': 'direct', 'dtype': 'float32'},
    'frames': [{'energy_eV_per_atom': 1e-9, 'forces_eV_A': 1e-7, 'stress_eV_A3': 1e-9}],
}


@pytest.fixture
def parse(generate_calc_job_node, generate_potential, generate_structure, tmp_path):
    """Give a function that parses what a job has left."""

    def run(exit_code=engine.FINISHED, message='', converted=CONVERTED, comparison=COMPARISON):
        folder, retrieved = tmp_path / 'job', tmp_path / 'retrieved'
        folder.mkdir()
        retrieved.mkdir()
        if exit_code is not None:
            status = {'exit_code': exit_code, 'message': message, 'versions': {'symmetrix-xl': '0.1.1'}}
            (retrieved / STATUS_FILE).write_text(json.dumps(status))
        if comparison is not None:
            (retrieved / files.COMPARISON_FILE).write_text(json.dumps(comparison))
        if converted is not None:
            (folder / files.CONVERTED_FILE).write_bytes(converted)
        inputs = {
            'potential': generate_potential('mace', options={'head': 'Default'}),
            'structure': generate_structure(),
            'dtype': orm.Str('float32'),
        }
        inputs['potential'].label = 'tuned'
        node = generate_calc_job_node(
            'hdiff.mace_convert', inputs, retrieved=retrieved, attributes={'output_filename': 'engine.out'}
        )
        parser = ParserFactory('hdiff.mace_convert')
        return parser.parse_from_node(node, store_provenance=False, retrieved_temporary_folder=str(folder))

    return run


def test_finished(parse, generate_potential):
    outputs, node = parse()
    assert node.exit_status == 0, node.exit_message
    potential, model = outputs['potential'], generate_potential('mace')
    assert (potential.architecture, potential.elements, potential.label) == ('mace', model.elements, 'tuned')
    assert potential.options == {'head': 'Default', 'dtype': 'float32'}
    assert potential.converted_file == 'potential.1'
    content = [potential.base.repository.get_object_content(name, mode='rb') for name in potential.file_names]
    assert content == [model.base.repository.get_object_content('potential.0', mode='rb'), CONVERTED]
    assert outputs['results'].get_dict() == {**COMPARISON, 'versions': {'symmetrix-xl': '0.1.1'}}


@pytest.mark.parametrize(
    ('code', 'name'),
    [
        (engine.NOT_CONVERTIBLE, 'ERROR_NOT_CONVERTIBLE'),
        (engine.CONVERSION_DIFFERS, 'ERROR_CONVERSION_DIFFERS'),
        (engine.MODEL_REFUSED, 'ERROR_MODEL_NOT_TRUSTED'),
        (engine.MISSING_PACKAGE, 'ERROR_PACKAGE_MISSING'),
        (engine.MODEL_NOT_LOADED, 'ERROR_POTENTIAL_REFUSED'),
        (engine.ERROR, 'ERROR_ENGINE_FAILED'),
        (engine.BAD_INPUT, 'ERROR_ENGINE_FAILED'),
    ],
)
def test_failures(parse, code, name):
    outputs, node = parse(code, message='because')
    assert node.exit_status == MaceConvertCalculation.exit_codes[name].status
    assert 'because' in node.exit_message
    assert 'potential' not in outputs


@pytest.mark.parametrize(
    ('left', 'name'),
    [
        ({'exit_code': None}, 'ERROR_OUTPUT_MISSING'),
        ({'converted': None}, 'ERROR_OUTPUT_MISSING'),
        ({'comparison': None}, 'ERROR_OUTPUT_MISSING'),
        ({'converted': b'\x80\x02N.'}, 'ERROR_OUTPUT_UNREADABLE'),
        ({'converted': json.dumps({'a': '"; system("id")'}).encode()}, 'ERROR_OUTPUT_UNREADABLE'),
    ],
)
def test_outputs_that_cannot_be_used(parse, left, name):
    outputs, node = parse(**left)
    assert node.exit_status == MaceConvertCalculation.exit_codes[name].status, node.exit_message
    assert 'potential' not in outputs
