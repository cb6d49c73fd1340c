"""The page in a real headless Chromium."""

import re
import shutil

import pytest

pytest.importorskip('matplotlib')
pytest.importorskip('jinja2')
pytest.importorskip('plotly')
pytest.importorskip('playwright')

from playwright import sync_api as playwright

from aiida_hdiff.report.html import render_html
from aiida_hdiff.report.interactive import make_panels
from tests.report.conftest import HOSTILE, empty, full, hostile, magnesium, planned

pytestmark = pytest.mark.integration

NAMES = ('chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable')
ARGUMENTS = ('--no-sandbox', '--use-angle=swiftshader', '--enable-unsafe-swiftshader', '--ignore-gpu-blocklist')
DRAWN = "document.querySelectorAll('.plot').length === document.querySelectorAll('.plot[data-drawn]').length"
STUDIES = {'full': full, 'magnesium': magnesium, 'empty': empty, 'hostile': hostile, 'planned': planned}
PATIENCE_MS = 60_000


@pytest.fixture(scope='module')
def browser():
    """Return a running browser; it draws WebGL in software."""
    executable = next((path for name in NAMES if (path := shutil.which(name))), None)
    if executable is None:
        pytest.skip(f'no browser found: none of {", ".join(NAMES)}')
    with playwright.sync_playwright() as running:
        chromium = running.chromium.launch(executable_path=executable, args=list(ARGUMENTS))
        yield chromium
        chromium.close()


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    """Return the page of each study as a file."""
    folder = tmp_path_factory.mktemp('pages')
    paths = {}
    for name, make in STUDIES.items():
        paths[name] = folder / f'{name}.html'
        paths[name].write_text(render_html(make()), encoding='utf-8')
    return paths


@pytest.fixture
def open_page(browser, files):
    """Give a function that opens a page and waits for its figures; problems are collected in ``page.problems``."""
    contexts = []

    def open_(name, *, wait=True, width=1000, **options):
        context = browser.new_context(viewport={'width': width, 'height': 900}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.problems = []
        page.on('pageerror', lambda error: page.problems.append(str(error)))
        page.on('dialog', lambda dialog: (page.problems.append(dialog.message), dialog.dismiss()))
        page.on('console', lambda message: _note(page, message))
        page.on('request', lambda request: _note_request(page, request))
        page.goto(files[name].as_uri())
        if wait:
            page.wait_for_function(DRAWN, timeout=PATIENCE_MS)
        return page

    yield open_
    for context in contexts:
        context.close()


def _note(page, message):
    if message.type == 'error' or 'WARN' in message.text or message.text.startswith('figure '):
        page.problems.append(message.text)


def _note_request(page, request):
    if not request.url.startswith(('file:', 'data:', 'blob:')):
        page.problems.append(request.url)


def graphics(page):
    """Return the names of the figures that show something: lines of SVG or a canvas."""
    return page.evaluate(
        "[...document.querySelectorAll('figure.panel')].filter(f => f.querySelector("
        "'.plot .scatterlayer path, .plot .heatmaplayer image, .plot .barlayer path, .plot canvas')).map(f => f.id)"
    )


@pytest.mark.parametrize('mode', ['light', 'dark'])
@pytest.mark.parametrize('name', list(STUDIES))
def test_every_figure_is_drawn_without_errors_or_network(open_page, name, mode):
    page = open_page(name, color_scheme=mode)
    assert page.problems == []
    assert sorted(graphics(page)) == sorted(f'figure-{panel}' for panel in make_panels(STUDIES[name]()))
    assert page.evaluate('document.documentElement.dataset.theme') == mode
    for figure in page.locator('figure.panel').all():
        figure.scroll_into_view_if_needed()
        assert figure.locator('.main-svg').first.is_visible()
    light = [
        int(value) > 128 for value in re.findall(r'\d+', page.evaluate('getComputedStyle(document.body).color'))[:3]
    ]
    assert set(light) == {mode == 'dark'}


def test_text_is_there_before_the_figures(open_page):
    page = open_page('full', wait=False)
    assert page.locator('h1').is_visible()
    assert page.locator('.headline').first.inner_text() == '0.440 ± 0.017 eV'
    timing = page.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd")
    assert timing < 20_000


@pytest.mark.parametrize('figure', ['figure-path', 'figure-network'])
def test_dragging_turns_the_scene(open_page, figure):
    page = open_page('full')
    plot = page.locator(f'#{figure} .plot')
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    before = page.screenshot(clip=box)
    x, y = box['x'] + box['width'] / 2, box['y'] + box['height'] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 160, y + 60, steps=6)
    page.mouse.up()
    page.wait_for_function(f"document.querySelector('#{figure} .plot').layout.scene.camera.eye.x !== 1")
    assert page.screenshot(clip=box) != before
    assert page.problems == []


def test_the_menu_changes_the_figure(open_page):
    page = open_page('full')
    assert page.locator('#figure-rdf .plot .ytitle').first.text_content() == 'g(r)'
    state = "JSON.stringify(document.querySelector('#figure-rdf .plot').data.map(trace => trace.y[150]))"
    first = page.evaluate(state)
    page.locator('#figure-rdf select').select_option(index=1)
    page.wait_for_function(f'{state} !== {first!r}')


def test_the_button_switches_to_dark_and_is_remembered(open_page):
    page = open_page('full', color_scheme='light')
    colour = "document.querySelector('#figure-msd .xtitle').style.fill"
    before = page.evaluate(colour)
    page.locator('#theme').click()
    assert page.evaluate('document.documentElement.dataset.theme') == 'dark'
    page.wait_for_function(f'{colour} !== {before!r}')
    page.reload()
    assert page.evaluate('document.documentElement.dataset.theme') == 'dark'


def test_hovering_shows_values(open_page):
    page = open_page('full')
    page.locator('#figure-arrhenius').scroll_into_view_if_needed()
    page.locator('#figure-arrhenius .points path').last.hover(force=True)
    page.locator('#figure-arrhenius .hoverlayer .hovertext').first.wait_for()
    words = page.locator('#figure-arrhenius .hoverlayer').text_content()
    assert 'm²/s' in words
    assert 'hops' in words


@pytest.mark.parametrize('name', list(STUDIES))
def test_nothing_overflows_on_a_phone(open_page, name):
    page = open_page(name, width=390, has_touch=True, is_mobile=True)
    assert page.evaluate('document.documentElement.scrollWidth') == 390
    assert page.problems == []


def test_hostile_text_is_shown_as_text(open_page):
    page = open_page('hostile')
    assert page.problems == []
    assert page.locator('h1').inner_text() == HOSTILE
    assert page.locator('body b').count() == 0
    assert page.evaluate("[...document.scripts].filter(one => one.textContent === 'alert(1)').length") == 0
    for name in ('arrhenius', 'occupation', 'residence', 'path'):
        words = page.locator(f'#figure-{name} .legend').text_content()
        assert f'{HOSTILE}<b>%{{x}}</b> $x$' in words, name
    assert HOSTILE in page.locator('#figure-deviation .ytick text').first.text_content()
    assert HOSTILE in page.locator('#figure-rdf option').first.text_content()
    assert HOSTILE in page.locator('svg.graph .label').first.text_content()
    page.locator('#figure-arrhenius').scroll_into_view_if_needed()
    page.locator('#figure-arrhenius .points path').last.hover(force=True)
    page.locator('#figure-arrhenius .hoverlayer .hovertext').first.wait_for()
    assert HOSTILE in page.locator('#figure-arrhenius .hoverlayer').text_content()


def test_potentials_stand_side_by_side(open_page):
    page = open_page('planned')
    assert page.problems == []
    table = page.locator('section[aria-labelledby=potentials] table')
    assert table.locator('th.left-out').inner_text() == 'MACE_MP'
    faded, plain = table.locator('td.left-out').first, table.locator('td:not(.left-out)').first
    colour = 'one => getComputedStyle(one).color'
    assert faded.evaluate(colour) != plain.evaluate(colour)
    assert page.locator('#figure-errors .barlayer .point path').count() == 18
    for number in range(4):
        page.locator('#figure-parity select').select_option(str(number))
        layer = '.scatterlayer path.point' if number == 0 else '.heatmaplayer image'
        page.locator(f'#figure-parity {layer}').nth(1).wait_for(state='attached')
    assert page.locator('#figure-rdf_compare .scatterlayer .js-line').count() == 5
    assert page.problems == []


def test_cells_of_the_deviation_fit_on_a_phone(open_page):
    wide, narrow = (
        open_page('planned', width=width).locator('#figure-deviation .heatmap-label') for width in (1200, 380)
    )
    assert '× 10' in wide.first.text_content()
    assert '× 10' not in narrow.first.text_content()


def test_paper_is_light_and_has_the_figures(open_page):
    page = open_page('full', color_scheme='dark')
    page.wait_for_function("document.querySelectorAll('.has-print').length === 2", timeout=PATIENCE_MS)
    page.emulate_media(media='print')
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate('document.documentElement.dataset.theme') == 'light'
    assert page.locator('#figure-path .for-print').is_visible()
    assert page.evaluate("document.querySelector('#figure-path .for-print').naturalWidth") > 600
    assert page.locator('#figure-msd .main-svg').first.is_visible()
    document = page.pdf()
    assert document.startswith(b'%PDF')
    assert len(re.findall(rb'/Type\s*/Page\b', document)) > 5
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.evaluate('document.documentElement.dataset.theme') == 'dark'


def test_pictures_stand_in_without_javascript(open_page):
    page = open_page('full', wait=False, java_script_enabled=False)
    shown = [
        image for image in page.locator('figure.panel noscript img, figure.panel > img').all() if image.is_visible()
    ]
    assert len(shown) == 4
    assert not page.locator('#theme').is_visible()
