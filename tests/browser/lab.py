"""A notebook in JupyterLab: opened, run, moved and reopened as a student would."""

import json
import re

from playwright.sync_api import TimeoutError as Late

WIDGET = "application/vnd.jupyter.widget-view+json"
# kinds of controls, what moves them, and the keys that do: the second where the first is at its end
CONTROLS = {
    ".widget-slider": (".noUi-handle", "ArrowRight", "ArrowLeft"),
    ".widget-play": ("button >> nth=0", "Enter"),
    ".widget-dropdown": ("select",),  # JupyterLab takes the arrows for itself: an option is chosen
    ".widget-checkbox:not(.mer-answer)": ("input", "Space"),
}
SETTINGS = {
    # all cells stand in the page, also those below the window
    "notebook-extension/tracker": {"windowingMode": "none"},
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}

PANEL = "window.jupyterapp?.shell.currentWidget"
LOADED = f"{PANEL}?.context?.isReady && {PANEL}.content.widgets.length > 0"
IDLE = f"{PANEL}?.sessionContext?.session?.kernel?.status === 'idle'"
CELLS = f"""() => {PANEL}.content.widgets.map(({{model}}, index) => ({{
    index, code: model.type === 'code', source: model.sharedModel.getSource(),
    count: model.executionCount, outputs: model.outputs?.toJSON() ?? []}}))
    .filter(cell => cell.code && cell.source.trim())"""
# errors in the console that are no fault of ours
NOISE = (
    "Could not restore the debugger state",  # JupyterLab's, when a kernel ends
    "widget model not found",  # a reopened notebook; the test looks at what is shown instead
)
STATE = """end => end.value + end.checked + end.getAttribute('aria-valuetext')"""
SHOWN = "box => box.querySelector('img').src"
# (shown width, shown height, width, height) of the pictures in a box
SIZES = """box => [...box.querySelectorAll('img')].map(
    img => [img.clientWidth, img.clientHeight, img.naturalWidth, img.naturalHeight])"""
# the widths of all pictures that are shown
VISIBLE = """box => [...box.querySelectorAll('img')].filter(
    img => img.checkVisibility()).map(img => img.naturalWidth)"""
CUT = """box => [...box.querySelectorAll('.widget-label')].filter(
    label => label.scrollWidth > label.clientWidth + 1).map(label => label.textContent)"""


def write_settings(folder):
    """Write SETTINGS where JupyterLab looks for a user's."""
    for name, values in SETTINGS.items():
        path = folder / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(values))


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
        self.open()
        self.page.wait_for_function(IDLE)

    def open(self):
        self.page = self.context.new_page()
        self.page.goto(f"{self.lab}/lab/tree/{self.path}?reset")
        self.page.wait_for_function(LOADED)
        self.page.wait_for_function("!document.body.innerText.includes('Loading widget')")

    def run(self, seconds=900):
        """Run all cells; return what is wrong, a sentence a cell."""
        self.execute("notebook:run-all-cells", seconds)
        wrong = []
        for cell in self.cells():
            errors = [output for output in cell["outputs"] if output["output_type"] == "error"]
            wrong += [f"{error['evalue']} in {cell['source']}" for error in errors]
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
        """Return the cells that show widgets, by their index."""
        indices = [
            cell["index"]
            for cell in self.cells()
            if any(WIDGET in output.get("data", {}) for output in cell["outputs"])
        ]
        return {index: self.page.locator(".jp-Notebook .jp-Cell").nth(index) for index in indices}

    def reopen(self):
        """Save, shut the kernel down, close, and open again."""
        self.execute("docmanager:save")
        self.close()
        self.open()

    def close(self):
        self.page.evaluate(f"() => {PANEL}.sessionContext.shutdown()")
        self.page.close()


class Demo:
    """A demo in its cell: controls, a line that tells what went wrong, a picture."""

    def __init__(self, page, cell):
        self.page, self.cell = page, cell
        self.box = cell.locator(".jp-OutputArea-output:has(.jupyter-widgets)")
        self.box.locator("img").first.wait_for()

    def move_all(self):
        """Move every control; return the names of those that leave the picture as it was."""
        stuck = []
        for kind, (ends, *keys) in CONTROLS.items():
            for control in self.box.locator(kind).all():
                before = self.box.evaluate(SHOWN)
                end = control.locator(ends).first
                self._move(end, keys)
                try:
                    script = f"([box, before]) => ({SHOWN})(box) !== before && {IDLE}"
                    given = [self.box.element_handle(), before]
                    self.page.wait_for_function(script, arg=given, timeout=20_000)
                except Late:
                    stuck.append(f"{kind} {control.inner_text()} of {self.box.inner_text()}")
                if kind == ".widget-play":
                    end.press(keys[0])  # pause
        return stuck

    def _move(self, end, keys):
        """Choose the next option, or press the key that moves the control."""
        before = end.evaluate(STATE)
        if not keys:
            at, count = end.evaluate("end => [end.selectedIndex, end.length]")
            end.select_option(index=(at + 1) % count)
        for key in keys:
            end.press(key)
            if end.evaluate(STATE) != before:
                break

    def look(self):
        """Return what is wrong with how it looks: pictures stretched, blurred or shown twice,
        labels cut.
        """
        wrong = [f"label {text!r} is cut" for text in self.box.evaluate(CUT)]
        if len(self.cell.evaluate(VISIBLE)) > len(self.box.evaluate(VISIBLE)):
            wrong.append("the still picture is shown beside the live one")
        for wide, high, *whole in self.box.evaluate(SIZES):
            if not whole[0] or abs(wide / high - whole[0] / whole[1]) > 0.01 * wide / high:
                wrong.append(f"a picture of {whole} is stretched to {wide} x {high}")
            if wide > whole[0]:
                wrong.append(f"a picture {whole[0]} wide is blown up to {wide}")
        return wrong
