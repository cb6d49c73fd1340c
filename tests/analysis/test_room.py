import subprocess
import sys


def test_import_is_cheap_and_free_of_aiida():
    code = (
        'import sys, aiida_hdiff.analysis;'
        "print([m for m in sys.modules if m.split('.')[0] in ('aiida', 'ase', 'scipy', 'matplotlib')])"
    )
    output = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True).stdout
    assert output.strip() == '[]'
