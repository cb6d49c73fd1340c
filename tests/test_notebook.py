"""The notebook in the documentation runs from top to bottom and shows what it says."""

import json
from pathlib import Path

import pytest

from tests.conftest import executable

NOTEBOOK = Path(__file__).parent.parent / 'docs' / 'tutorials' / 'analyse-your-trajectory.ipynb'
MAX_BYTES = 300_000


def code_cells():
    return [cell for cell in json.loads(NOTEBOOK.read_text())['cells'] if cell['cell_type'] == 'code']


def test_the_stored_outputs_are_complete_and_small():
    cells = code_cells()
    assert [cell['execution_count'] for cell in cells] == list(range(1, len(cells) + 1))
    assert not [output for cell in cells for output in cell['outputs'] if output['output_type'] == 'error']
    assert NOTEBOOK.stat().st_size < MAX_BYTES
    assert '/tmp' not in NOTEBOOK.read_text()


@pytest.mark.slow
def test_the_cells_run_in_order():
    executable('lmp')
    pytest.importorskip('matplotlib').use('Agg')
    names = {}
    for cell in code_cells():
        exec(''.join(cell['source']), names)
    assert names['diffusion'].status == 'resolved'
    assert names['sites'].lattice == 'fcc'
    fractions = names['statistics'].occupation_fractions
    assert fractions['octahedral'][0] > 3 * fractions['tetrahedral'][0]
    slow, fast = (names['results'][temperature].value for temperature in sorted(names['results']))
    assert fast > slow
