"""Roads as graphs: nodes, edges, files, metrics, and what decides them."""

from ..lazy_face import lazy_face

__getattr__, __dir__, __all__ = lazy_face(
    __name__,
    {
        "pair_votes": ("PairVotes", "neighbour_pairs", "points_in_window"),
        "road_nodes": ("NodeFinder", "NodeSettings", "Nodes", "released_road_nodes"),
    },
)
