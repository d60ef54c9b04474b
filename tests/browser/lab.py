"""A notebook in JupyterLab: opened, run, moved and reopened as a student would."""

import itertools
import json
import re
import statistics
from dataclasses import dataclass

from playwright.sync_api import TimeoutError as Late

MOVES = []  # every control that was moved, for the table at the end
CHANGES, GOAL = 4, 200  # changes of a control; ms that a median may take
WIDGET = "application/vnd.jupyter.widget-view+json"
# kinds of controls, what moves them, and the keys that do: the second where the first is at its end
CONTROLS = {
    ".widget-slider": (".noUi-handle", "ArrowRight", "ArrowLeft"),
    ".widget-dropdown": ("select",),  # JupyterLab takes the arrows for itself: an option is chosen
    ".widget-checkbox": ("input", "Space"),
    ".widget-play": ("button >> nth=0", "Enter"),
}
SETTINGS = {
    # all cells stand in the page, also those below the window
    "notebook-extension/tracker": {"windowingMode": "none"},
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}

PANEL = "window.jupyterapp?.shell.currentWidget"
IDLE = f"{PANEL}?.sessionContext?.session?.kernel?.status === 'idle'"
READY = f"{PANEL}?.context?.isReady && {PANEL}.content.widgets.length > 0 && {IDLE}"
CELLS = f"""() => {PANEL}.content.widgets.map(({{model}}, index) => ({{
    index, code: model.type === 'code', source: model.sharedModel.getSource(),
    count: model.executionCount, outputs: model.outputs?.toJSON() ?? []}}))
    .filter(cell => cell.code && cell.source.trim())"""
# errors in the console that are no fault of ours
NOISE = (
    "Could not restore the debugger state",  # JupyterLab's, when a kernel ends
    "widget model not found",  # a reopened notebook; the test looks at what is shown instead
)
# from the key until the browser has the new picture; a picture may be replaced: hence the box
ARM = """box => {
    window.moved?.end.abort();
    const end = new AbortController(), options = {capture: true, signal: end.signal};
    window.moved = {key: null, shown: [], end};
    for (const kind of ['keydown', 'change'])
        addEventListener(kind, () => moved.key ??= performance.now(), options);
    box.addEventListener('load', () => moved.shown.push(performance.now()), options);
}"""
STATE = """end => end.value + end.checked + end.getAttribute('aria-valuetext')"""
# (shown width, shown height, width, height) of the pictures in a box
SIZES = """box => [...box.querySelectorAll('img')].map(
    img => [img.clientWidth, img.clientHeight, img.naturalWidth, img.naturalHeight])"""
# the widths of all pictures that are shown
VISIBLE = """box => [...box.querySelectorAll('img')].filter(
    img => img.checkVisibility()).map(img => img.naturalWidth)"""
CUT = """box => [...box.querySelectorAll('.widget-label')].filter(
    label => label.scrollWidth > label.clientWidth + 1).map(label => label.textContent)"""

ODD = """(box, known) => [...box.querySelectorAll('input, select, button')].some(
    part => !part.closest(known))"""
# the line that tells stands in no control
TOLD = ".widget-label:not(.widget-inline-hbox *)"


def write_settings(folder):
    """Write SETTINGS where JupyterLab looks for a user's."""
    for name, values in SETTINGS.items():
        path = folder / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(values))


@dataclass
class Move:
    """How long the pictures of one control took, ``each`` in ms; of a play button, one to the next,
    which its interval decides.
    """

    notebook: str
    demo: int
    control: str
    each: list
    paced: bool

    def __str__(self):
        median = statistics.median(self.each)
        each = " ".join(f"{ms:.0f}" for ms in self.each)
        mark = f"  over {GOAL}" if median > GOAL and not self.paced else ""
        return f"{self.notebook:<24}{self.demo:<6}{self.control:<30}{median:>6.0f}  {each}{mark}"


class Watch:
    """What must not happen in any page: requests to other machines, failed ones, errors in the
    console.
    """

    def __init__(self, context):
        self.faults = []
        context.on("request", lambda request: self._see_address(request.url))
        context.on("page", lambda page: page.on("websocket", lambda s: self._see_address(s.url)))
        context.on("requestfailed", self._see_failure)
        context.on("console", self._see_console)
        context.on("weberror", lambda error: self.faults.append(f"page: {error.error}"))

    def take(self):
        """Return the faults since the last call."""
        faults, self.faults = self.faults, []
        return faults

    def _see_address(self, url):
        if not re.match(r"(http|ws)://127\.0\.0\.1:|file:|data:|blob:|about:", url):
            self.faults.append(f"request to {url}")

    def _see_failure(self, request):
        if request.failure != "net::ERR_ABORTED":  # a page that was closed
            self.faults.append(f"failed: {request.url} ({request.failure})")

    def _see_console(self, message):
        if message.type == "error" and not any(noise in message.text for noise in NOISE):
            self.faults.append(f"console: {message.text} ({message.location})")


class Notebook:
    """A notebook in a page of its own; ``path`` from JupyterLab's root."""

    def __init__(self, context, lab, path):
        self.context, self.lab, self.path = context, lab, path
        self.name = path.rpartition("/")[2].removesuffix(".ipynb")
        self.open()

    def open(self):
        self.page = self.context.new_page()
        self.page.goto(f"{self.lab}/lab/tree/{self.path}?reset")
        self.page.wait_for_function(READY)
        self.page.wait_for_function("!document.body.innerText.includes('Loading widget')")

    def run(self, seconds=900):
        """Run all cells; return what is wrong, a sentence a cell."""
        self.execute("notebook:run-all-cells", seconds)
        wrong = []
        for cell in self.cells():
            errors = [output for output in cell["outputs"] if output["output_type"] == "error"]
            wrong += [
                f"{error['ename']}: {error['evalue']} in {cell['source']}" for error in errors
            ]
            if not cell["count"]:
                wrong.append(f"never run: {cell['source']}")
        return wrong

    def execute(self, command, seconds=60):
        """Execute a command of JupyterLab and wait for its end and an idle kernel."""
        script = """command => {window.done = false;
            jupyterapp.commands.execute(command).finally(() => window.done = true)}"""
        self.page.evaluate(script, command)
        self.page.wait_for_function(f"window.done && {IDLE}", timeout=seconds * 1000)

    def cells(self):
        """Return the code cells: {index, source, count, outputs}."""
        return self.page.evaluate(CELLS)

    def find_demos(self):
        """Return the indices of the cells that show widgets."""
        return [
            cell["index"]
            for cell in self.cells()
            if any(WIDGET in output.get("data", {}) for output in cell["outputs"])
        ]

    def demos(self):
        """Return the demos, once their pictures are there."""
        demos = [Demo(self, n, index) for n, index in enumerate(self.find_demos(), 1)]
        for demo in demos:
            demo.box.locator("img").first.wait_for()
        return demos

    def cell(self, index):
        return self.page.locator(".jp-Notebook .jp-Cell").nth(index)

    def reopen(self):
        """Save, shut the kernel down, close, and open again."""
        self.execute("docmanager:save")
        self.page.evaluate(f"() => {PANEL}.sessionContext.shutdown()")
        self.page.close()
        self.open()

    def close(self):
        self.page.evaluate(f"() => {PANEL}.sessionContext.shutdown()")
        self.page.close()


class Demo:
    """The ``number``-th demo of a notebook: controls, a line that tells, a picture."""

    def __init__(self, notebook, number, index):
        self.notebook, self.number, self.page = notebook, number, notebook.page
        self.cell = notebook.cell(index)
        self.box = self.cell.locator(".jp-OutputArea-output:has(.jupyter-widgets)")

    def __str__(self):
        return f"{self.notebook.name}, demo {self.number}"

    def move_all(self):
        """Move every control and note how long its pictures took; return what is wrong."""
        wrong = []
        for kind, (ends, *keys) in CONTROLS.items():
            for control in self.box.locator(kind).all():
                words = " ".join(control.locator("label").all_inner_texts()).strip("\u200b ")
                name = words or kind.rpartition("-")[2]
                for end in control.locator(ends).all():
                    wrong += self._move(name, end, keys, kind)
        if self.box.evaluate(ODD, ", ".join(CONTROLS)):
            wrong.append(f"{self}: a control of a kind that this test cannot move")
        return wrong

    def look(self):
        """Return what is wrong with how it looks: pictures stretched, blurred or shown twice,
        labels cut.
        """
        wrong = [f"{self}: label {text!r} is cut" for text in self.box.evaluate(CUT)]
        if len(self.cell.evaluate(VISIBLE)) > len(self.box.evaluate(VISIBLE)):
            wrong.append(f"{self}: the still picture is shown beside the live one")
        for wide, high, *whole in self.box.evaluate(SIZES):
            if not whole[0] or abs(wide / high - whole[0] / whole[1]) > 0.01 * wide / high:
                wrong.append(f"{self}: a picture of {whole} is stretched to {wide} x {high}")
            if wide > whole[0]:
                wrong.append(f"{self}: a picture {whole[0]} wide is blown up to {wide}")
        return wrong

    def tell(self):
        """Return the words beside the controls."""
        return " ".join(self.box.locator(TOLD).all_inner_texts())

    def _move(self, name, end, keys, kind):
        """Change one control CHANGES times; return what is wrong."""
        paced = kind == ".widget-play"  # it goes on by itself
        each, many = [], CHANGES - 1 if paced else 1
        while len(each) < (many if paced else CHANGES):
            times = self._change(end, keys, many)
            if not times:
                return [f"{self}: {name} moved and the picture stayed ({self.tell()})"]
            each += times
        MOVES.append(Move(self.notebook.name, self.number, name, each, paced))
        return []

    def _change(self, end, keys, many):
        """Change a control once; return the ms until each of ``many`` pictures, or nothing."""
        self._set_further(end, keys)
        try:
            self.page.wait_for_function(f"moved.shown.length >= {many}", timeout=20_000)
        except Late:
            return []
        if many > 1:
            end.press(keys[0])  # pause
        self.page.wait_for_timeout(100)  # a second control may follow the first
        self.page.wait_for_function(IDLE)
        times = self.page.evaluate("[moved.key, ...moved.shown]")[: many + 1]
        return [later - sooner for sooner, later in itertools.pairwise(times)]

    def _set_further(self, end, keys):
        """Choose the next option, or press the key that moves the control."""
        before = end.evaluate(STATE)
        self.box.evaluate(ARM)
        if not keys:
            at, count = end.evaluate("end => [end.selectedIndex, end.length]")
            end.select_option(index=(at + 1) % count)
        for key in keys:
            end.press(key)
            if end.evaluate(STATE) != before:
                break
