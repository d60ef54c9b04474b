"""The maps and the Recipe with which each network is trained beside the others.

No fold is trained anew when a setting here changes: a fold's name holds the settings themselves.
"""

from dataclasses import replace

from mer_utils import MerError
from mer_utils.learning.peers import PLAIN
from mer_utils.learning.recipe import Recipe

# the fields of a FrontEnd that make the maps a network is made for: the published ones, and our
# choice where nothing is published; peers that are no networks get the maps of MicroAttNet, as the
# floor it has to clear
NATIVE = {
    "MicroAttNet": {"size": 20},  # ours
    "STSTNet": {"size": 28, "third": "strain"},  # Liong et al. 2019
    "OFF-ApexNet": {"size": 28},  # Gan et al. 2019
    # 64 px in Varanka et al. 2021; 28 are seen whole, too, in a sixth of the time and no worse on a
    # development set (benchmarks/tuning.json)
    "SSSNet": {"size": 28},
    "CrossPhaseNet": {"size": 28},  # ours
} | {network: {"size": 20} for network in PLAIN}

# the fields of a Recipe a network was published with, as public code has them; none of them stops
# early: how long to wait is our choice, and so are the epochs where none are known
PUBLISHED = {
    "STSTNet": {"rate": 5e-5, "decay": 0.0, "batch": 256, "epochs": 500, "patience": 100},
    "OFF-ApexNet": {"rate": 1e-4, "decay": 0.0, "epochs": 200, "patience": 40},
    "SSSNet": {"rate": 1e-4, "decay": 1e-3, "batch": 32, "epochs": 200, "patience": 40},
}
# what ``recipe_of`` uses: the winners of benchmarks/tuning.py, a dozen draws and the published
# settings for each on a development set (tests hold them to its record)
TUNED = {
    "MicroAttNet": {"rate": 8.3e-3, "decay": 0.045, "patience": 8, "dropout": 0.25, "epochs": 40},
    "STSTNet": {"rate": 4.6e-3, "decay": 1.5e-3, "patience": 20, "dropout": 0.5, "epochs": 20},
    "OFF-ApexNet": {"rate": 2.4e-3, "decay": 1.2e-4, "patience": 8, "dropout": 0.0, "epochs": 20},
    "SSSNet": {"rate": 2.4e-4, "decay": 4.9e-4, "patience": 20, "dropout": 0.25, "epochs": 20},
    "CrossPhaseNet": {"rate": 4.2e-4, "decay": 0.097, "patience": 20, "dropout": 0.5, "epochs": 60},
    "Regions+LR": {"rate": 4.2e-4, "decay": 0.097, "patience": 20, "dropout": 0.5, "epochs": 60},
}


def recipe_of(network, **changes):
    """Return the Recipe of a network with its own settings (TUNED) and ``changes``."""
    return Recipe(**{"network": network} | TUNED.get(network, {}) | changes)


def native_front_end(network, base, flow_images=False):
    """Return the FrontEnd ``base`` with the maps a network is made for (NATIVE): their size, and
    what the third one holds. Of ready-made ``flow_images`` the third map is what it is.
    """
    if network not in NATIVE:
        raise MerError(f"network {network!r} is unknown; choose one of {', '.join(NATIVE)}")
    own = NATIVE[network]
    return replace(base, **{k: v for k, v in own.items() if not (flow_images and k == "third")})
