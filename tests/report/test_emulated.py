"""Whatever descends from the VASP stand-in says so: in the page, in the figures, in the tables and in the JSON."""

import csv
import json
import re
from dataclasses import replace

import jsonschema
import pytest
from aiida import orm
from aiida.common.links import LinkType

from aiida_hdiff.data.potential import PotentialData
from aiida_hdiff.report.collect_emulated import emulated_nodes, is_emulated
from aiida_hdiff.report.figures import make_figures
from aiida_hdiff.report.html import render_html
from aiida_hdiff.report.interactive import make_panels
from aiida_hdiff.report.methods import methods_paragraph
from aiida_hdiff.report.results import results_json, results_schema, results_table
from aiida_hdiff.report.tables import make_tables, save_tables
from aiida_hdiff.report.text import EMULATED


@pytest.fixture
def emulated_study(nickel_study):
    first, *others = nickel_study.potentials
    return replace(nickel_study, potentials=(replace(first, emulated=True), *others))


def test_the_label_is_this():
    assert EMULATED == 'EMULATED - made with the VASP stand-in, not VASP'


def test_every_figure_says_it(emulated_study, nickel_study):
    figures = make_figures(emulated_study)
    assert figures.keys() == make_figures(nickel_study).keys()
    assert {figure._suptitle.get_text() for figure in figures.values()} == {EMULATED}
    for figure in figures.values():
        figure.draw_without_rendering()
        box, page = figure._suptitle.get_window_extent(), figure.bbox
        assert page.x0 < box.x0 < box.x1 < page.x1
        assert box.y1 < page.y1
    assert all(figure._suptitle is None for figure in make_figures(nickel_study).values())


def test_every_variant_of_every_interactive_figure_says_it(emulated_study, nickel_study):
    variants = [one for panel in make_panels(emulated_study).values() for one in panel.variants]
    assert len(variants) >= 4
    assert {one.figure['layout']['title']['text'] for one in variants} == {EMULATED}
    plain = [one for panel in make_panels(nickel_study).values() for one in panel.variants]
    assert not any('title' in one.figure['layout'] for one in plain)
    tops = [
        (a.figure['layout']['margin']['t'], b.figure['layout']['margin']['t'])
        for a, b in zip(variants, plain, strict=True)
    ]
    assert all(with_title > without for with_title, without in tops)


def test_the_page_says_it_above_everything(emulated_study, nickel_study, without_pictures):
    page = render_html(emulated_study)
    assert '<title>EMULATED: ' in page
    main = page[page.index('<main>') :]
    assert re.search(rf'<strong>{EMULATED}\.</strong>', main).start() < main.index('<section')
    assert page.count(EMULATED) > len(make_panels(emulated_study))
    assert 'EMULATED' not in render_html(nickel_study)


def test_texts_tables_and_results(emulated_study, nickel_study, tmp_path):
    assert results_table(emulated_study).startswith(EMULATED + '\n')
    assert ', EMULATED)' in results_table(emulated_study)
    assert methods_paragraph(emulated_study).startswith(EMULATED)
    content = results_json(emulated_study)
    jsonschema.validate(json.loads(json.dumps(content)), results_schema())
    assert content['emulated'] is True
    assert content['emulated_text'] == EMULATED
    assert content['potentials'][0]['emulated'] is True
    for path in save_tables(emulated_study, tmp_path):
        header, *rows = csv.reader(path.open(encoding='utf-8'))
        assert header[-1] == 'label'
        assert {row[-1] for row in rows} == {EMULATED}
        assert {len(row) for row in rows} == {len(header)}
    assert results_json(nickel_study)['emulated'] is False
    assert 'EMULATED' not in results_table(nickel_study) + methods_paragraph(nickel_study)
    assert 'label' not in make_tables(nickel_study)['msd'][0]


def job(inputs, outputs, **extras):
    """Return a stored job with inputs and outputs."""
    node = orm.CalcJobNode(process_type='aiida.calculations:hdiff.vasp_mlff')
    for name, one in inputs.items():
        node.base.links.add_incoming(one.store(), LinkType.INPUT_CALC, name)
    node.store()
    for name, one in outputs.items():
        one.base.links.add_incoming(node, LinkType.CREATE, name)
        one.store()
    for name, value in extras.items():
        node.base.extras.set(name, value)
    return node


@pytest.mark.parametrize('mark', ['misc', 'results', 'extra of the job', 'extra of a node', 'potential', 'none'])
def test_descent_from_the_stand_in(aiida_profile, mark):
    """A force field, a job that runs it, and two steps of analysis; each mark is enough."""
    options = {'emulated': True} if mark == 'potential' else {'emulated': False}
    potential = PotentialData(architecture='vasp-mlff', elements=['Ni', 'H'], files=[b'ML_FF'], options=options)
    trajectory, analysed, result = orm.Dict({'n': 1}), orm.Dict({'n': 2}), orm.Dict({'n': 3})
    summary = orm.Dict({'emulated': mark in ('misc', 'results')})
    name = mark if mark in ('misc', 'results') else 'misc'
    extras = {'emulated': True} if mark == 'extra of the job' else {}
    job({'potential': potential}, {'trajectory': trajectory, name: summary}, **extras)
    for source, target in ((trajectory, analysed), (analysed, result)):
        step = orm.CalcFunctionNode()
        step.base.links.add_incoming(source, LinkType.INPUT_CALC, 'source')
        step.store()
        target.base.links.add_incoming(step, LinkType.CREATE, 'target')
        target.store()
    if mark == 'extra of a node':
        trajectory.base.extras.set('emulated', True)
    other = orm.Int(1).store()
    assert is_emulated([result]) is (mark != 'none')
    assert {result.pk, other.pk} & emulated_nodes() == (set() if mark == 'none' else {result.pk})
    assert is_emulated([]) is False
    assert is_emulated([other]) is False
