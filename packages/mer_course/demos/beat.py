"""Beat the network: label clips yourself and see both scores, for notebook 06."""

import io

from mer_course.demos.still import show_with_still
from mer_utils.evaluation import macro_uf1
from mer_utils.plots import draw_bars, paint
from mer_utils.preprocessing import load_crops

import ipywidgets
import numpy as np
from PIL import Image

SIDE, FPS, REST = 192, 60, 800  # px of a view; frames a second if unknown; ms between two loops
ALT = "Demo: the macro-UF1 of the network and of yes to everything, to beat on clips that play"


class Beat:
    """Clips drawn by lot, a run's answers to them, and those of whoever plays."""

    def __init__(self, dataset, features, outcome, clips=10):
        """Take a Dataset with faces, its Features and the Outcome of a run on them."""
        rows = np.random.default_rng(0).permutation(len(features.y))[:clips]
        self.clips, self.views = [dataset.clips[row] for row in rows], dataset.views
        self.labels, self.truth = np.array(features.labels), features.y[rows]
        self.network, self.mine = outcome.answers[rows], []

    def film(self):
        """Return the next clip at its true speed, its views side by side, as an animated PNG."""
        clip, film = self.clips[len(self.mine)], io.BytesIO()
        frames = np.concatenate(load_crops(clip, self.views, SIDE)[0], 2)  # (T, SIDE, V SIDE)
        first, *others = map(Image.fromarray, frames)
        times = [round(1000 / (clip.fps or FPS))] * len(others) + [REST]
        first.save(film, "png", save_all=True, append_images=others, duration=times, loop=0)
        return film.getvalue()

    def answer(self, said):
        """Keep the answers (L,) to the next clip; return in words what was true."""
        true = ", ".join(self.labels[self.truth[len(self.mine)] > 0]) or "no label"
        self.mine.append(said)
        return f"Clip {len(self.mine)} of {len(self.clips)} shows: {true}."

    def draw(self):
        """Return the Figure of the scores, with one's own once all clips are answered."""
        answers = {"network": self.network, "yes to everything": np.ones_like(self.truth)}
        if len(self.mine) == len(self.clips):
            answers["you"] = np.array(self.mine)
        scores = {who: macro_uf1(self.truth, said) for who, said in answers.items()}
        title = f"on these {len(self.clips)} clips the network reaches {scores['network']:.2f}"
        return draw_bars(scores, title, "macro-UF1", ("you",))

    def show(self):
        """Show the first clip with a box to tick for each label; beside it, the scores to beat."""
        boxes = [ipywidgets.Checkbox(description=label, indent=False) for label in self.labels]
        for box in boxes:
            box.add_class("mer-answer")  # the one kind of control that leaves the picture alone
        button, told = ipywidgets.Button(description="next"), ipywidgets.Label()
        picture = ipywidgets.Image(value=self.film(), layout={"max_width": "100%"})

        def go_on(_):
            told.value = self.answer([int(box.value) for box in boxes])
            for box in boxes:
                box.value = False
            if len(self.mine) < len(self.clips):
                picture.value = self.film()
                return
            button.disabled = True
            picture.value, picture.width = paint(self.draw())

        button.on_click(go_on)
        box = ipywidgets.VBox([picture, *boxes, button, told], layout={"align_items": "flex-start"})
        show_with_still(box, *paint(self.draw()), ALT)
