"""Class names and colours of the datasets in the order of the class ids; tables of data, so they look alike."""

_ISAID = {
    "background": (0, 0, 0),
    "ship": (0, 0, 63),
    "storage_tank": (0, 63, 63),
    "baseball_diamond": (0, 63, 0),
    "tennis_court": (0, 63, 127),
    "basketball_court": (0, 63, 191),
    "ground_track_field": (0, 63, 255),
    "bridge": (0, 127, 63),
    "large_vehicle": (0, 127, 127),
    "small_vehicle": (0, 0, 127),
    "helicopter": (0, 0, 191),
    "swimming_pool": (0, 0, 255),
    "roundabout": (0, 191, 127),
    "soccer_ball_field": (0, 127, 191),
    "plane": (0, 127, 255),
    "harbor": (0, 100, 155),
}
ISAID_LABELS, ISAID_PALETTE = tuple(_ISAID), tuple(_ISAID.values())

_ISPRS = {
    "impervious_surface": (255, 255, 255),
    "building": (0, 0, 255),
    "low_vegetation": (0, 255, 255),
    "tree": (0, 255, 0),
    "car": (255, 255, 0),
}
# The sixth colour is clutter, id 5, which is ignored.
ISPRS_LABELS, ISPRS_PALETTE = tuple(_ISPRS), (*_ISPRS.values(), (255, 0, 0))

_DEEPGLOBE = {
    "urban": (0, 255, 255),
    "agriculture": (255, 255, 0),
    "rangeland": (255, 0, 255),
    "forest": (0, 255, 0),
    "water": (0, 0, 255),
    "barren": (255, 255, 255),
}
# The seventh colour is unknown, id 6, which is ignored.
DEEPGLOBE_LABELS, DEEPGLOBE_PALETTE = tuple(_DEEPGLOBE), (*_DEEPGLOBE.values(), (0, 0, 0))

_LOVEDA = {
    "background": (255, 255, 255),
    "building": (255, 0, 0),
    "road": (255, 255, 0),
    "water": (0, 0, 255),
    "barren": (159, 129, 183),
    "forest": (0, 255, 0),
    "agriculture": (255, 195, 128),
}
LOVEDA_LABELS, LOVEDA_PALETTE = tuple(_LOVEDA), tuple(_LOVEDA.values())

_OPENEARTHMAP = {
    "unknown": (0, 0, 0),
    "bareland": (128, 0, 0),
    "rangeland": (0, 255, 36),
    "developed": (148, 148, 148),
    "road": (255, 255, 255),
    "tree": (34, 97, 38),
    "water": (0, 69, 255),
    "agriculture": (75, 181, 73),
    "building": (222, 31, 7),
}
OPENEARTHMAP_LABELS, OPENEARTHMAP_PALETTE = tuple(_OPENEARTHMAP), tuple(_OPENEARTHMAP.values())

_UAVID = {
    "background": (0, 0, 0),
    "building": (128, 0, 0),
    "road": (128, 64, 128),
    "car": (192, 0, 192),
    "tree": (0, 128, 0),
    "vegetation": (128, 128, 0),
    "human": (64, 64, 0),
}
UAVID_LABELS, UAVID_PALETTE = tuple(_UAVID), tuple(_UAVID.values())

_IRSAMAP = {
    "farmland": (255, 211, 127),
    "tree": (38, 115, 0),
    "grass": (152, 230, 0),
    "river": (0, 112, 255),
    "lake": (115, 178, 255),
    "sea": (0, 38, 115),
    "water": (0, 197, 255),
    "building": (230, 0, 0),
    "road": (156, 156, 156),
    "sport_field": (255, 115, 223),
}
IRSAMAP_LABELS, IRSAMAP_PALETTE = tuple(_IRSAMAP), tuple(_IRSAMAP.values())
IRSAMAP_CODES = (10, 11, 12, 21, 22, 23, 24, 31, 32, 34)
"""What masks hold for each class in turn, as those who looked at them found; 0 is unlabelled."""

_UDD5 = {
    "vegetation": (107, 142, 35),
    "building": (102, 102, 156),
    "road": (128, 64, 128),
    "vehicle": (0, 0, 142),
    "other": (0, 0, 0),
}
UDD5_LABELS, UDD5_PALETTE = tuple(_UDD5), tuple(_UDD5.values())

_SECOND = {
    "unchanged": (255, 255, 255),
    "water": (0, 0, 255),
    "non-vegetated ground surface": (128, 128, 128),
    "low vegetation": (0, 128, 0),
    "tree": (0, 255, 0),
    "building": (128, 0, 0),
    "playground": (255, 0, 0),
}
SECOND_LABELS, SECOND_PALETTE = tuple(_SECOND), tuple(_SECOND.values())

VDD_LABELS = ("other", "wall", "road", "vegetation", "vehicle", "roof", "water")

DIOR_R_LABELS = (
    "airplane",
    "airport",
    "baseballfield",
    "basketballcourt",
    "bridge",
    "chimney",
    "expressway-service-area",
    "expressway-toll-station",
    "dam",
    "golffield",
    "groundtrackfield",
    "harbor",
    "overpass",
    "ship",
    "stadium",
    "storagetank",
    "tenniscourt",
    "trainstation",
    "vehicle",
    "windmill",
)
DOTA_LABELS = (
    "large-vehicle",
    "swimming-pool",
    "helicopter",
    "bridge",
    "plane",
    "ship",
    "soccer-ball-field",
    "basketball-court",
    "ground-track-field",
    "small-vehicle",
    "baseball-diamond",
    "tennis-court",
    "roundabout",
    "storage-tank",
    "harbor",
    "container-crane",
    "airport",
    "helipad",
)
