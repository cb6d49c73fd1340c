'use strict';
(() => {
  const root = document.documentElement;
  const panels = [...document.querySelectorAll('figure.panel')];
  const dark = matchMedia('(prefers-color-scheme: dark)');
  const coarse = matchMedia('(pointer: coarse)');
  const contents = new Map();
  const PRINT_WIDTH = 640, NARROW = 600;
  let library, chosenTheme = null, printing = false;

  try { chosenTheme = localStorage.getItem('aiida-hdiff-theme'); } catch { /* storage is not allowed */ }

  // Theme: the system's until the reader chooses; paper is always light.
  function applyTheme() {
    const theme = printing ? 'light' : chosenTheme ?? (dark.matches ? 'dark' : 'light');
    root.dataset.theme = theme;
    const button = document.getElementById('theme');
    button.textContent = theme === 'dark' ? '☀ Light' : '☾ Dark';
    button.setAttribute('aria-label', `Switch to ${theme === 'dark' ? 'light' : 'dark'} mode`);
  }
  function switchTheme() {
    chosenTheme = root.dataset.theme === 'dark' ? 'light' : 'dark';
    try { localStorage.setItem('aiida-hdiff-theme', chosenTheme); } catch { /* storage is not allowed */ }
    applyTheme();
    redraw();
  }

  function palette() {
    const style = getComputedStyle(root);
    return name => style.getPropertyValue(`--${name}`).trim();
  }
  // Replace '@name' by a colour of the mode, only where a colour stands: texts are the user's.
  function painted(value, key, colour) {
    if (typeof value === 'string') return value[0] === '@' && /color$/.test(key) ? colour(value.slice(1)) : value;
    if (Array.isArray(value)) {
      return typeof value[0] === 'object' || /color$/.test(key) ? value.map(item => painted(item, key, colour)) : value;
    }
    if (value === null || typeof value !== 'object') return value;
    return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, painted(item, name, colour)]));
  }
  function template(colour) {
    const axis = {
      gridcolor: colour('line'), linecolor: colour('soft'), tickcolor: colour('soft'), zerolinecolor: colour('line'),
      showline: true, ticks: 'outside', ticklen: 4, title: { standoff: 8 },
    };
    const scene = { gridcolor: colour('line'), linecolor: colour('line'), color: colour('soft'), zerolinecolor: colour('line') };
    return { layout: {
      paper_bgcolor: 'rgba(0,0,0,0)', plot_bgcolor: 'rgba(0,0,0,0)',
      font: { color: colour('ink'), family: getComputedStyle(document.body).fontFamily, size: 13 },
      xaxis: axis, yaxis: axis, scene: { xaxis: scene, yaxis: scene, zaxis: scene },
      hoverlabel: { bgcolor: colour('card'), bordercolor: colour('soft'), font: { color: colour('ink') }, align: 'left' },
    } };
  }

  function content(panel) {
    if (!contents.has(panel)) contents.set(panel, JSON.parse(panel.querySelector('script').textContent));
    return contents.get(panel);
  }
  function figureOf(panel) {
    const choice = panel.querySelector('select')?.value ?? '0';
    const { data, layout } = content(panel)[Number(choice)];
    const colour = palette();
    const narrow = !printing && innerWidth < NARROW;
    const entries = layout.scene ? 0 : data.filter(trace => trace.name && trace.showlegend !== false).length;
    const result = {
      data: painted(narrow ? data.map(trace => ({ ...trace, ...trace.meta?.narrow })) : data, '', colour),
      layout: {
        ...painted(layout, '', colour), template: template(colour), autosize: !printing, uirevision: choice,
        height: Number(panel.dataset.height) + (narrow && entries > 5 ? 20 * entries : 0),
        ...(printing && { width: PRINT_WIDTH }),
        ...(coarse.matches && !layout.scene && { dragmode: false }),
      },
    };
    if (narrow && layout.scene) {
      const eye = result.layout.scene.camera.eye;
      for (const name of ['x', 'y', 'z']) eye[name] *= 1.35;
    }
    return result;
  }

  // The library stands compressed in the page; it is unpacked once, after the text is on the screen.
  const load = () => library ??= unpack();
  async function unpack() {
    const block = document.getElementById('plotly');
    const bytes = Uint8Array.from(atob(block.textContent.trim()), sign => sign.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'));
    const script = document.createElement('script');
    script.textContent = await new Response(stream).text();
    document.head.append(script);
    block.remove();
    return window.Plotly;
  }

  async function draw(panel) {
    const plot = panel.querySelector('.plot');
    try {
      const plotly = await load();
      const { data, layout } = figureOf(panel);
      await plotly.react(plot, data, layout, {
        displaylogo: false, responsive: true, scrollZoom: false, displayModeBar: coarse.matches ? false : 'hover',
        modeBarButtonsToRemove: ['select2d', 'lasso2d', 'autoScale2d', 'resetCameraLastSave3d'],
        toImageButtonOptions: { format: layout.scene ? 'png' : 'svg', filename: panel.id, scale: layout.scene ? 2 : 1 },
      });
      plot.dataset.drawn = '';
      if (layout.scene && !printing) whenIdle(() => preparePrint(panel));
    } catch (error) {
      plot.classList.add('failed');
      const still = panel.querySelector('noscript');
      plot.innerHTML = still ? still.textContent : '<p>This browser cannot draw the interactive figure.</p>';
      console.warn(`figure ${panel.id}: ${error}`);
    }
  }
  const redraw = () => panels.filter(panel => panel.querySelector('[data-drawn]')).forEach(draw);

  // Browsers may print a WebGL canvas empty: a picture takes its place on paper.
  async function preparePrint(panel) {
    const theme = root.dataset.theme;
    root.dataset.theme = 'light';
    const { data, layout } = figureOf(panel);
    root.dataset.theme = theme;
    const camera = panel.querySelector('.plot').layout?.scene?.camera;
    if (camera) layout.scene = { ...layout.scene, camera };
    const picture = await window.Plotly.toImage({ data, layout }, { format: 'png', width: PRINT_WIDTH, height: 440, scale: 1.5 });
    const image = panel.querySelector('.for-print');
    image.src = picture;
    panel.classList.add('has-print');
  }

  const whenIdle = window.requestIdleCallback ?? (work => setTimeout(work, 60));
  function drawLater(waiting) {
    const next = waiting.find(panel => !panel.dataset.begun);
    if (next) whenIdle(async () => { await begin(next); drawLater(waiting); });
  }
  async function begin(panel) {
    if (panel.dataset.begun) return;
    panel.dataset.begun = 'yes';
    panel.querySelector('select')?.addEventListener('change', () => draw(panel));
    await draw(panel);
  }

  root.classList.add('js');
  applyTheme();
  document.getElementById('theme').addEventListener('click', switchTheme);
  dark.addEventListener('change', () => { applyTheme(); redraw(); });
  addEventListener('beforeprint', () => {
    printing = true;
    document.querySelectorAll('details').forEach(one => { one.open = true; });
    applyTheme();
    panels.forEach(draw);
  });
  addEventListener('afterprint', () => { printing = false; applyTheme(); redraw(); });
  document.querySelectorAll('.copy').forEach(button => button.addEventListener('click', async () => {
    const text = document.getElementById(button.dataset.of);
    getSelection().selectAllChildren(text);
    try { await navigator.clipboard.writeText(text.textContent); button.textContent = 'Copied'; } catch { button.textContent = 'Selected'; }
  }));
  for (const panel of panels) panel.querySelector('.plot').style.minHeight = `${panel.dataset.height}px`;
  const watcher = new IntersectionObserver(entries => {
    for (const entry of entries) if (entry.isIntersecting) { watcher.unobserve(entry.target); begin(entry.target); }
  }, { rootMargin: '300px' });
  panels.forEach(panel => watcher.observe(panel));
  addEventListener('load', () => drawLater([...panels].sort((a, b) => (a.dataset.scene ?? 0) - (b.dataset.scene ?? 0))));
})();
