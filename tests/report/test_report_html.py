import itertools
import json
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser

import pytest

pytest.importorskip('matplotlib')
pytest.importorskip('jinja2')
pytest.importorskip('plotly')

from aiida_hdiff.report.html import render_html
from aiida_hdiff.report.interactive import make_panels
from tests.report.conftest import HOSTILE, STUDIES

VOID = {'meta', 'img', 'br', 'hr', 'link', 'input'}


class Page(HTMLParser):
    """Collects tags and checks that they are properly nested."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.words, self.scripts = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == 'script':
            self.scripts.append((dict(attrs).get('type'), ''))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == 'script':
            self.scripts[-1] = (self.scripts[-1][0], self.scripts[-1][1] + data)
        elif self.open and self.open[-1] != 'style':
            self.words.append(data)

    @property
    def text(self):
        return re.sub(r'\s+', ' ', ''.join(self.words))

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


every_page = pytest.mark.parametrize('name', [name for name in STUDIES if name != 'replicas'])


@every_page
def test_page_is_well_formed_and_self_contained(page_of, name):
    _, html = page_of(name)
    assert html.startswith('<!DOCTYPE html>')
    page = Page(html)
    for tag, attributes in page.tags:
        for name in ('src', 'href', 'srcset', 'data', 'action', 'poster', 'xlink:href'):
            if name in attributes:
                target = attributes[name]
                is_doi = tag == 'a' and target.startswith('https://doi.org/10.')
                is_section = tag == 'a' and target.startswith('#')
                assert is_doi or is_section or target.startswith('data:image/svg+xml;base64,'), target
    assert not page.all('link')
    assert all('src' not in attributes for attributes in page.all('script'))
    style = html[html.index('<style>') : html.index('</style>')]
    assert re.findall(r'url\(([^)]*)\)', style) == ['#arrow']
    assert '@import' not in style


@every_page
def test_figures_stand_in_the_page_as_data(page_of, name):
    study, html = page_of(name)
    page, panels = Page(html), make_panels(study)
    blocks = [json.loads(text) for kind, text in page.scripts if kind == 'application/json']
    assert sorted(len(block) for block in blocks) == sorted(len(panel.variants) for panel in panels.values())
    assert len(page.all('figure')) == len(panels)
    assert sum(kind is None for kind, _ in page.scripts) == 1


@every_page
def test_page_is_accessible(page_of, name):
    page = Page(page_of(name)[1])
    assert page.all('html') == [{'lang': 'en'}]
    assert len(page.all('h1')) == 1
    assert all(len(image['alt']) > 20 for image in page.all('img'))
    assert all(len(one['aria-label']) > 20 for name, one in page.tags if one.get('class') == 'plot')
    assert len(page.all('caption')) == len(page.all('table'))
    assert all(cell.get('scope') in {'row', 'col'} for cell in page.all('th'))
    identifiers = [attributes['id'] for _, attributes in page.tags if 'id' in attributes]
    assert len(identifiers) == len(set(identifiers))
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r'h[1-6]', tag)]
    assert all(later - earlier <= 1 for earlier, later in itertools.pairwise(levels))


def test_page_shows_result_literature_and_provenance(page_of):
    nickel_study, html = page_of('nickel')
    text = Page(html).text
    assert 'Demonstration.' in text
    assert '0.440 ± 0.017 eV' in text
    assert '1.76 × 10⁻⁶ m²/s' in text
    assert '(2.96 ± 0.18) × 10⁻⁹' in text
    assert 'Völkl and Alefeld 1975 (compilation)' in text
    assert 'times the published one at 1021 K' in text
    assert 'What “not resolved” means' not in text
    assert f'verdi process status {nickel_study.provenance.workchain_uuid}' in text
    for result in nickel_study.potentials[0].temperatures:
        assert result.node_uuid in text
    assert html.index('id="figure-arrhenius"') < html.index('id="figure-msd"') < html.index('id="figure-nve"')


def test_equal_studies_give_equal_pages(nickel_study, replica_study, without_pictures):
    assert render_html(nickel_study) == render_html(replace(nickel_study))
    assert render_html(nickel_study) != render_html(replica_study)


def test_page_explains_what_is_not_resolved(page_of):
    text = Page(page_of('magnesium')[1]).text
    assert 'What “not resolved” means' in text
    assert 'D < 8.80 × 10⁻¹² m²/s' in text
    assert 'CHGNet 0.3.0, 300 K: no bound is known' in text
    assert 'No Arrhenius fit: D is resolved at 1 temperature.' in text
    assert 'Not in the fit: 300 K (not resolved); 900 K (exit code 412).' in text
    assert 'Demonstration.' not in text
    assert not re.search(r'\bnan\b|\binf\b', text)


def test_user_text_is_escaped(magnesium_study, hostile_value, without_pictures):
    study = replace(
        magnesium_study,
        literature=(hostile_value,),
        demonstration_text='<img src=x onerror=alert(1)>',
        is_demonstration=True,
        settings={'<b>key</b>': '"><script>'},
    )
    html = render_html(study)
    page = Page(html)
    assert '<script>alert' not in html
    assert not page.all('b')
    assert '<i>kind</i>' not in html
    assert all('onerror' not in attributes for _, attributes in page.tags)
    assert 'H in Mg <script>alert(1)</script>' in page.text
    assert 'https://doi.org/10.1000/a%22b%3Cc%3E' in html


def test_missing_jinja_says_what_to_install(nickel_study, monkeypatch):
    monkeypatch.setitem(sys.modules, 'jinja2', None)
    with pytest.raises(ImportError, match=r'pip install aiida-hdiff\[report\]'):
        render_html(nickel_study)


def test_hostile_text_stays_text(page_of):
    _, html = page_of('hostile')
    page = Page(html)
    assert HOSTILE not in html
    assert page.text.count(HOSTILE) > 20
    assert not page.all('b')
    assert html.count('<script') == html.count('</script>') == len(page.scripts)
    for kind, text in page.scripts:
        if kind == 'application/json':
            assert not set('<>&') & set(text)
            assert HOSTILE not in json.dumps(json.loads(text))


def test_warnings_come_first_and_name_the_run(full_study, without_pictures):
    html = render_html(replace(full_study, warnings=('host has melted',)))
    assert html.index('host has melted') < html.index('EAM Angelo 1995, 1400 K: the error') < html.index('id="result"')


def test_provenance_graph_carries_uuids(page_of):
    full_study, html = page_of('full')
    page = Page(html)
    boxes = [attributes['data-uuid'] for _, attributes in page.tags if 'data-uuid' in attributes]
    assert boxes == [node.uuid for node in full_study.provenance.graphs[0].nodes]
    assert all(page.text.count(uuid) == 1 for uuid in boxes)


def test_long_provenance_graphs_are_folded(full_study, without_pictures, monkeypatch):
    assert '<details open>\n<summary>' in render_html(full_study)
    monkeypatch.setattr('aiida_hdiff.report.html.SHORT_GRAPH', 1)
    html = render_html(full_study)
    assert '<details open>' not in html
    assert f'{len(full_study.provenance.graphs[0].nodes)} nodes, from the inputs to the result' in html


def test_methods_paragraph_and_bibtex_are_in_the_page(page_of):
    text = Page(page_of('full')[1]).text
    assert 'molecular dynamics in a periodic cell of 108 Ni and 4 H atoms' in text
    assert '[McCluskey2025, Maginn2019, Calandrini2011]' in text
    assert '@article{Huber2020,' in text
    assert 'doi = {10.1016/B978-0-12-522660-8.50010-6}' in text


def test_missing_plotly_says_what_to_install(nickel_study, monkeypatch):
    from aiida_hdiff.report.page_script import plotly_gzip_base64

    plotly_gzip_base64.cache_clear()
    monkeypatch.setitem(sys.modules, 'plotly', None)
    with pytest.raises(ImportError, match=r'pip install aiida-hdiff\[report\]'):
        render_html(nickel_study)
