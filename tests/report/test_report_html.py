import itertools
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser

import pytest

pytest.importorskip('matplotlib')
pytest.importorskip('jinja2')

from aiida_hdiff.report.html import render_html

VOID = {'meta', 'img', 'br', 'hr', 'link', 'input'}


class Page(HTMLParser):
    """Collects tags and checks that they are properly nested."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.words = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != 'style':
            self.words.append(data)

    @property
    def text(self):
        return re.sub(r'\s+', ' ', ''.join(self.words))

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def test_page_is_well_formed_and_self_contained(any_study):
    html = render_html(any_study)
    assert html.startswith('<!DOCTYPE html>')
    page = Page(html)
    for tag, attributes in page.tags:
        for name in ('src', 'href', 'srcset', 'data', 'action', 'poster', 'xlink:href'):
            if name in attributes:
                target = attributes[name]
                is_doi = tag == 'a' and target.startswith('https://doi.org/10.')
                assert is_doi or target.startswith('data:image/svg+xml;base64,'), target
    assert not page.all('link')
    assert not page.all('script')
    assert 'url(' not in html
    assert '@import' not in html


def test_page_is_accessible(any_study):
    page = Page(render_html(any_study))
    assert page.all('html') == [{'lang': 'en'}]
    assert len(page.all('h1')) == 1
    assert all(len(image['alt']) > 20 for image in page.all('img'))
    assert len(page.all('caption')) == len(page.all('table'))
    assert all(cell.get('scope') in {'row', 'col'} for cell in page.all('th'))
    identifiers = [attributes['id'] for _, attributes in page.tags if 'id' in attributes]
    assert len(identifiers) == len(set(identifiers))
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r'h[1-6]', tag)]
    assert all(later - earlier <= 1 for earlier, later in itertools.pairwise(levels))


def test_page_shows_result_literature_and_provenance(nickel_study):
    html = render_html(nickel_study)
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
    assert html.index('Arrhenius plot') < html.index('Mean squared displacement')
    assert html == render_html(nickel_study)


def test_page_explains_what_is_not_resolved(magnesium_study):
    text = Page(render_html(magnesium_study)).text
    assert 'What “not resolved” means' in text
    assert 'D < 8.80 × 10⁻¹² m²/s' in text
    assert 'CHGNet 0.3.0, 300 K: no bound is known' in text
    assert 'No Arrhenius fit: D is resolved at 1 temperature.' in text
    assert 'Not in the fit: 300 K (not resolved); 900 K (exit code 412).' in text
    assert 'Demonstration.' not in text
    assert not re.search(r'\bnan\b|\binf\b', text)


def test_user_text_is_escaped(magnesium_study, hostile_value):
    study = replace(
        magnesium_study,
        literature=(hostile_value,),
        demonstration_text='<img src=x onerror=alert(1)>',
        is_demonstration=True,
        settings={'<b>key</b>': '"><script>'},
    )
    html = render_html(study)
    page = Page(html)
    assert '<script' not in html
    assert not page.all('b')
    assert '<i>kind</i>' not in html
    assert all('onerror' not in attributes for _, attributes in page.tags)
    assert 'H in Mg <script>alert(1)</script>' in page.text
    assert 'https://doi.org/10.1000/a%22b%3Cc%3E' in html


def test_missing_jinja_says_what_to_install(nickel_study, monkeypatch):
    monkeypatch.setitem(sys.modules, 'jinja2', None)
    with pytest.raises(ImportError, match=r'pip install aiida-hdiff\[report\]'):
        render_html(nickel_study)


@pytest.fixture
def browser(tmp_path):
    """Return a function that runs headless Chromium with the given arguments."""
    names = ('chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable')
    executable = next((path for name in names if (path := shutil.which(name))), None)
    if executable is None:
        pytest.skip(f'no browser found: none of {", ".join(names)}')

    def run(*arguments):
        command = [
            executable,
            '--headless',
            '--no-sandbox',
            '--disable-gpu',
            '--disable-background-networking',
            '--no-first-run',
            '--hide-scrollbars',
            f'--user-data-dir={tmp_path / "profile"}',
            *arguments,
        ]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout

    return run


def test_browser_renders_the_page(browser, any_study, tmp_path):
    from matplotlib.image import imread

    page = tmp_path / 'report.html'
    page.write_text(render_html(any_study), encoding='utf-8')
    dom = browser('--dump-dom', page.as_uri())
    assert dom.count('<table') == len(Page(page.read_text(encoding='utf-8')).all('table'))
    assert dom.rstrip().endswith('</html>')
    picture = tmp_path / 'page.png'
    browser('--window-size=1000,1600', f'--screenshot={picture}', page.as_uri())
    pixels = imread(picture)[..., :3]
    assert pixels.shape[:2] == (1600, 1000)
    assert pixels.std() > 0.05


def test_browser_shows_all_images_and_nothing_overflows_on_a_phone(browser, magnesium_study, tmp_path):
    """The page measures itself inside a frame as wide as a phone."""
    page = tmp_path / 'report.html'
    page.write_text(render_html(magnesium_study), encoding='utf-8')
    script = (
        'const d = frame.contentDocument; const images = [...d.images];'
        'document.body.dataset.wide = d.documentElement.scrollWidth;'
        'document.body.dataset.broken = images.filter(i => !i.complete || i.naturalWidth === 0).length;'
        'document.body.dataset.images = images.length'
    )
    wrapper = tmp_path / 'phone.html'
    wrapper.write_text(
        f'<body><iframe id="frame" src="report.html" style="width:390px;height:800px;border:0" onload="{script}">'
        '</iframe></body>',
        encoding='utf-8',
    )
    dom = browser('--allow-file-access-from-files', '--dump-dom', wrapper.as_uri())
    assert 'data-images="4"' in dom
    assert 'data-broken="0"' in dom
    assert 'data-wide="390"' in dom
