"""The potential that comes with the package: fitted again to its frames, and evaluated by LAMMPS."""

from pathlib import Path

import pytest
import yaml
from aiida import orm
from aiida.engine import run_get_node
from aiida.plugins import CalculationFactory

from aiida_hdiff.formats import pod
from aiida_hdiff.workflows.dataset_files import dataset_from_spec
from aiida_hdiff.workflows.potentials import OWN_POTENTIALS

pytestmark = pytest.mark.integration

EXAMPLE = Path(__file__).parents[2] / 'examples' / 'mg-h-dft'


def test_the_shipped_student_is_the_fit_to_its_frames(code):
    """A fit has no seed: its frames and settings give its coefficients, and the errors of its record."""
    settings = yaml.safe_load((EXAMPLE / 'study.yaml').read_text(encoding='utf-8'))['potentials']['pod']['settings']
    record = yaml.safe_load((OWN_POTENTIALS / 'mg_h_pbe.yaml').read_text(encoding='utf-8'))
    sets = {
        name: dataset_from_spec(
            {'file': f'frames/mg_h_pbe_{name}.xyz', 'reference': record['labels']['reference']}, EXAMPLE
        )
        for name in ('train', 'test')
    }
    results, node = run_get_node(
        CalculationFactory('hdiff.pod_train'), code=code('lmp'), settings=orm.Dict(settings['pod']), **sets
    )
    assert node.is_finished_ok, node.exit_message
    fitted = results['potential'].base.repository.get_object_content(results['potential'].file_names[1])
    shipped = (OWN_POTENTIALS / 'mg_h_pbe_coefficients.pod').read_text()
    assert pod.read_coefficients(fitted) == pytest.approx(pod.read_coefficients(shipped), rel=1e-3, abs=1e-3)
    for name, one in results['results']['splits'].items():
        expected = record['errors'][name]
        assert one['force_rmse_meV_A'] == pytest.approx(expected['force_rmse_meV_A'], abs=0.05)
        assert one['energy_rmse_meV_per_atom'] == pytest.approx(expected['energy_rmse_meV_per_atom'], abs=0.05)
        assert one['force_rmse_meV_A_by_element']['H'] == pytest.approx(expected['force_rmse_H_meV_A'], abs=0.05)
    assert record['errors']['test']['force_rmse_meV_A'] <= 30.0
    assert record['errors']['test']['energy_rmse_meV_per_atom'] <= 1.5
