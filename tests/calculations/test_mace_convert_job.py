"""The job that converts a MACE model: its inputs, the files it writes, and what `hdiff.md` makes of the result."""

import json

import pytest
from aiida import orm
from aiida.plugins import CalculationFactory

from aiida_hdiff.calculations import mace_convert as files
from aiida_hdiff.calculations import md as md_files
from aiida_hdiff.data.model_trust import code_in_potential
from aiida_hdiff.engine.convert_mace import ConvertInput
from aiida_hdiff.engine.md_input import MDInput
from tests.model_files import genuine_model, hostile_model

CONVERTED = json.dumps({'model_type': 'MACE', 'r_cut': 4.0}).encode()


@pytest.fixture
def inputs(fake_code, generate_structure, generate_potential):
    """Give a factory of the inputs of a job."""

    def factory(**changes):
        values = {
            'code': fake_code('hdiff.mace_convert'),
            'structure': generate_structure(),
            'potential': generate_potential('mace', options={'head': 'Default'}),
        }
        return {**values, **changes}

    return factory


def error_of(values):
    """Return what submitting would say."""
    port = CalculationFactory('hdiff.mace_convert').spec().inputs
    error = port.validate(port.pre_process(values))
    return None if error is None else error.message


def test_what_is_refused(inputs, generate_potential):
    assert error_of(inputs()) is None
    assert error_of(inputs(dtype=orm.Str('float32'))) is None
    assert "`dtype` is 'float16': choose one of float64, float32" in error_of(inputs(dtype=orm.Str('float16')))
    assert 'only MACE models are converted' in error_of(inputs(potential=generate_potential('chgnet')))
    other = generate_potential('mace', elements=('Mg', 'H'))
    assert '`potential` does not cover Ni of `structure`' in error_of(inputs(potential=other))
    again = generate_potential('mace', files=[genuine_model('mace'), CONVERTED])
    assert 'has been converted already' in error_of(inputs(potential=again))
    assert 'os.system' in error_of(inputs(potential=generate_potential('mace', files=[hostile_model()])))


def test_job(generate_calc_job, inputs, file_regression):
    values = inputs(potential=inputs()['potential'].store())
    folder, info = generate_calc_job('hdiff.mace_convert', values)
    assert {path.name for path in folder.iterdir()} == {files.INPUT_FILE, files.START_FILE}
    assert info.local_copy_list == [(values['potential'].uuid, 'potential.0', 'potential.0')]
    assert info.retrieve_list == ['engine.out', 'status.json', 'progress.json', 'comparison.json']
    assert info.retrieve_temporary_list == ['converted.json']
    (code,) = info.codes_info
    assert code.cmdline_params == ['convert-mace', 'convert.json']
    text = (folder / files.INPUT_FILE).read_text()
    file_regression.check(text, basename='convert_input')
    job = ConvertInput.from_dict(json.loads(text))
    assert job.potential.options == {'dtype': 'float64', 'head': 'Default'}


def test_md_takes_both_files(generate_calc_job, inputs, generate_potential, fake_code):
    potential = generate_potential('mace', files=[genuine_model('mace'), CONVERTED]).store()
    parameters = {
        'ensemble': 'nve', 'temperature_K': 300.0, 'steps': 10, 'timestep_fs': 0.5, 'output_interval': 1, 'seed': 1,
        'calculator': 'fast',
    }  # fmt: skip
    values = {
        'code': fake_code('hdiff.md'),
        'structure': inputs()['structure'],
        'potential': potential,
        'parameters': orm.Dict(parameters),
    }
    folder, info = generate_calc_job('hdiff.md', values)
    job = MDInput.from_dict(json.loads((folder / md_files.INPUT_FILE).read_text()))
    assert (job.potential.file, job.potential.converted) == ('potential.0', 'potential.1')
    assert job.parameters.calculator == 'fast'
    copies = [(potential.uuid, name, name) for name in ('potential.0', 'potential.1')]
    assert [tuple(one) for one in info.local_copy_list] == copies


def test_what_could_run_code_in_a_converted_model(generate_potential):
    assert code_in_potential(generate_potential('mace', files=[genuine_model('mace'), CONVERTED])) is None
    for second in (hostile_model(), json.dumps({'layout': '";system("id");"'}).encode()):
        found = code_in_potential(generate_potential('mace', files=[genuine_model('mace'), second]))
        assert 'the converted model of potential' in found
