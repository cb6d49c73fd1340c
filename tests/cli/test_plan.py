"""`plan`: how long the runs must be, from every source of a guess."""

import re

import pytest
import yaml
from aiida import orm
from aiida.common.links import LinkType

from aiida_hdiff.analysis.planning import required_production_ps
from tests.workflows.test_diffusion import measured

STUDY = {
    'potentials': {'eam': {'pair_style': 'eam/alloy', 'files': ['NiAlH_jea.eam.alloy']}},
    'temperatures_K': [800, 1000],
    'protocol': 'fast',
}


@pytest.fixture
def study(tmp_path, generate_structure, fake_code, monkeypatch, setfl_path):
    names = {'lammps': fake_code().full_label, 'engine': fake_code('hdiff.md').full_label}
    monkeypatch.setattr('aiida_hdiff.workflows.study.DEFAULT_CODES', names)
    node = generate_structure(3, 4).store()

    def write(**changes):
        path = tmp_path / 'study.yaml'
        path.write_text(yaml.safe_dump({**STUDY, 'structure': {'node': node.pk}, **changes}))
        return path

    return write


def rows(output):
    return {
        float(m[1]): (float(m[2]), float(m[3]))
        for m in re.finditer(r'^eam (\d+) K +(\S+) +\S+ +\S+ +(\S+)', output, re.M)
    }


def test_plan_from_arrhenius_parameters(run_command, study):
    output = run_command('plan', study(), '--arrhenius', 0.44, 1.76e-6, '--error', 0.05)
    guess, needed = rows(output)[800.0]
    assert guess == pytest.approx(2.98e-9, rel=0.01)
    assert needed == pytest.approx(required_production_ps(2.98e-9, 4, 0.05, 10.0, 2.5), rel=0.01)
    assert 'a rough guess' in output
    assert 'does not extend its runs' in output


def test_plan_from_published_values(run_command, study):
    assert rows(run_command('plan', study()))[800.0][0] == pytest.approx(1.56e-9, rel=0.05)


def test_plan_says_when_the_budget_is_too_small(run_command, study):
    settings = {'convergence': {'relative_error': 0.01, 'max_production_ps': 500.0}}
    output = run_command('plan', study(settings=settings), '--arrhenius', 0.44, 1.76e-6)
    assert '2 runs need more than `settings.convergence.max_production_ps` (500 ps)' in output


def test_plan_from_an_earlier_study(run_command, study):
    earlier = orm.WorkChainNode(process_type='aiida.workflows:hdiff.diffusion').store()
    values = {}
    for kelvin in (800.0, 1000.0):
        node = measured(kelvin)
        node['estimate_m2_s'] = node['value_m2_s']
        values[kelvin] = node.store()
        node.base.links.add_incoming(earlier, LinkType.RETURN, f'diffusivities__eam_{kelvin:g}K_0')
    output = run_command('plan', study(), '--from', earlier.pk)
    assert rows(output)[800.0][0] == pytest.approx(values[800.0]['value_m2_s'], rel=0.01)
    message = run_command('plan', study(temperatures_K=[800, 900]), '--from', earlier.pk, code=1)
    assert "does not tell D of 'eam' at 900 K" in message


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (('--arrhenius', 0.44, -1.0), 'D0 of --arrhenius is -1.0'),
        (('--from', 99999), 'is no node of this profile'),
        (('--error', 0.0), 'relative_error is 0.0'),
        (('--arrhenius', 0.44, 1e-6, '--pilot', 10), 'give only one of'),
    ],
)
def test_bad_plans(run_command, study, options, message):
    assert message in run_command('plan', study(), *options, code=1)


def test_plan_from_a_node_that_is_no_study(run_command, study, generate_structure):
    node = generate_structure().store()
    assert 'is not a study' in run_command('plan', study(), '--from', node.pk, code=1)
