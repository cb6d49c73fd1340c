"""Configuration of Sphinx."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

# A configuration folder of its own, set before aiida is imported, and a profile in memory: the documentation of the
# processes is generated from their specifications, which needs a profile, and never touches the one of the user.
os.environ['AIIDA_PATH'] = tempfile.mkdtemp(prefix='hdiff-docs-')

from aiida import load_profile
from aiida.manage.configuration import get_config
from aiida.storage.sqlite_temp import SqliteTempBackend

get_config(create=True).set_option('warnings.showdeprecations', False)  # autodoc looks at every attribute
load_profile(SqliteTempBackend.create_profile('docs'), allow_switch=True)

sys.path.insert(0, str(Path(__file__).parent / '_ext'))

from aiida_hdiff import __version__  # noqa: E402

project = 'aiida-hdiff'
author = 'The aiida-hdiff developers'
copyright = author
version = release = __version__

extensions = [
    'myst_nb',
    'sphinx.ext.autodoc',
    'sphinx.ext.napoleon',
    'sphinx.ext.mathjax',
    'sphinx_click',
    'sphinx_copybutton',
    'aiida.sphinxext',
    'hdiff_reference',
]
myst_enable_extensions = ['colon_fence', 'deflist', 'dollarmath', 'fieldlist']
myst_heading_anchors = 3
source_suffix = {'.md': 'myst-nb', '.ipynb': 'myst-nb'}
nb_execution_mode = 'off'  # the outputs are stored; tests/test_notebook.py runs the cells
exclude_patterns = ['_build']
copybutton_prompt_text = r'\$ |>>> '
copybutton_prompt_is_regexp = True

autodoc_typehints = 'none'
autodoc_member_order = 'bysource'
napoleon_google_docstring = False
napoleon_use_rtype = False
suppress_warnings = ['ref.python']

html_theme = 'furo'
html_title = f'aiida-hdiff {release}'
