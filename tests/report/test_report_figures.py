import builtins
import io
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip('matplotlib')

from aiida_hdiff.report.figures import (
    arrhenius_figure,
    figure_bytes,
    make_figures,
    msd_figure,
    nve_figure,
    rdf_figure,
    save_figures,
)


@pytest.mark.integration
def test_files_are_written_and_valid(full_study, tmp_path):
    from matplotlib.image import imread

    first = full_study.potentials[0]
    study = replace(full_study, potentials=(replace(first, temperatures=first.temperatures[:1]),))
    paths = save_figures(study, tmp_path / 'new' / 'figures')
    assert {path.suffix for path in paths} == {'.pdf', '.png', '.svg'}
    for path in paths:
        if path.suffix == '.svg':
            assert ElementTree.parse(path).getroot().tag.endswith('svg')
        elif path.suffix == '.pdf':
            assert path.read_bytes().startswith(b'%PDF')
        else:
            assert imread(path)[..., :3].std() > 0.02


@pytest.mark.integration
def test_files_are_the_same_twice(nickel_study, tmp_path):
    nickel_study = replace(nickel_study, potentials=(replace(nickel_study.potentials[0], rdf=(), temperatures=()),))
    first, second = save_figures(nickel_study, tmp_path / 'a'), save_figures(nickel_study, tmp_path / 'b')
    assert [path.name for path in first] == [path.name for path in second]
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
    svg = (tmp_path / 'a' / 'arrhenius.svg').read_text()
    assert '<dc:date>' not in svg


def test_every_study_has_its_figures(any_study):
    figures = make_figures(any_study)
    assert 'arrhenius' in figures
    assert all(figure.axes for figure in figures.values())


def test_global_state_is_left_alone(nickel_study):
    import matplotlib

    before = dict(matplotlib.rcParams)
    had_pyplot = 'matplotlib.pyplot' in sys.modules
    make_figures(nickel_study)
    assert dict(matplotlib.rcParams) == before
    assert ('matplotlib.pyplot' in sys.modules) == had_pyplot


def test_settings_of_the_user_do_not_change_the_figures(nickel_study):
    import matplotlib

    plain = figure_bytes(arrhenius_figure(nickel_study), 'svg')
    with matplotlib.rc_context({'font.size': 20.0, 'lines.linewidth': 9.0}):
        assert figure_bytes(arrhenius_figure(nickel_study), 'svg') == plain


def test_arrhenius_shows_points_fit_bounds_and_literature(magnesium_study):
    axes = arrhenius_figure(magnesium_study).axes[0]
    assert axes.get_yscale() == 'log'
    assert len(axes.texts) == 2  # one arrow per finite upper bound
    points = sum(len(container.lines[0].get_xdata()) for container in axes.containers)
    resolved = [item for one in magnesium_study.potentials for item in one.temperatures if item.status == 'resolved']
    assert points == len(resolved)
    bounds = {float(line.get_ydata()[0]) for line in axes.lines if line.get_marker() == '_'}
    assert {8.8e-12, 3e-10} <= bounds


def test_published_law_is_solid_only_where_it_was_measured(nickel_study):
    hagi = nickel_study.literature[3]
    axes = arrhenius_figure(replace(nickel_study, literature=(hagi,))).axes[0]
    (solid,) = [line for line in axes.lines if line.get_label() == 'Hagi 1986']
    kelvin = 1000.0 / solid.get_xdata()[np.isfinite(solid.get_ydata())]
    assert 990.0 < kelvin.max() <= 1000.0


def test_missing_data_give_no_figure(nickel_study, empty_study):
    assert msd_figure(empty_study) is None
    assert rdf_figure(empty_study) is None
    assert nve_figure(empty_study) is None
    bare = replace(nickel_study.potentials[0].temperatures[0], series=(), msd=None)
    study = replace(nickel_study, potentials=(replace(nickel_study.potentials[0], temperatures=(bare,), rdf=()),))
    assert list(make_figures(study)) == ['arrhenius', 'deviation']


def test_series_without_energy(nickel_study):
    potential = nickel_study.potentials[0]
    results = tuple(
        replace(item, series=tuple(replace(one, energy_eV_per_atom=None) for one in item.series))
        for item in potential.temperatures
    )
    study = replace(nickel_study, potentials=(replace(potential, temperatures=results),))
    assert len(nve_figure(study).axes) == 1


def test_user_text_is_not_read_as_mathematics(nickel_study, hostile_value):
    potential = replace(nickel_study.potentials[0], label='a $_{ b')
    study = replace(nickel_study, potentials=(potential, potential), literature=(hostile_value,))
    for figure in make_figures(study).values():
        assert figure_bytes(figure, 'png').startswith(b'\x89PNG')


def test_sizes_fit_journal_columns(nickel_study):
    for figure in make_figures(nickel_study).values():
        assert figure.get_figwidth() == pytest.approx(3.35)


def test_missing_matplotlib_says_what_to_install(nickel_study, monkeypatch):
    original = builtins.__import__

    def without(name, *arguments, **keywords):
        if name.startswith('matplotlib'):
            raise ImportError(name)
        return original(name, *arguments, **keywords)

    for name in [name for name in sys.modules if name.partition('.')[0] == 'matplotlib']:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(builtins, '__import__', without)
    with pytest.raises(ImportError, match=r'pip install aiida-hdiff\[report\]'):
        arrhenius_figure(nickel_study)


def test_png_can_be_opened(nickel_study):
    from matplotlib.image import imread

    pixels = imread(io.BytesIO(figure_bytes(arrhenius_figure(nickel_study), 'png')))
    assert pixels.shape[1] == 670  # 3.35 inches at 200 dots per inch
