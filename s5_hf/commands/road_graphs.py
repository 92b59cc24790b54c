"""`s5-hf score-roads` and `convert-graph`: road graphs as files."""

# Options look alike because typer reads them from the signatures; what is shared is in option_values.py.

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()

RowsFromBelow = Annotated[
    float | None,
    typer.Option(metavar="HEIGHT", help="Height of the images where pickles count rows from below: 400 for SpaceNet."),
]


@app.command("score-roads")
def score_roads(
    truth: Annotated[Path, typer.Argument(help="Road graph of the reference: a file, or a folder with one per tile.")],
    predicted: Annotated[Path, typer.Argument(help="Predicted road graph, or the folder of them.")],
    *,
    protocol: Annotated[
        str | None,
        typer.Option(
            help="city-scale (tiles of 2048 m, also for Global-Scale), spacenet (400 m), or scene, for graphs of any "
            "size. By default scene on a map and city-scale in pixels."
        ),
    ] = None,
    pixel_size: Annotated[float, typer.Option(help="Metres per pixel, for graphs in pixels.")] = 1.0,
    junction_radius: Annotated[
        float, typer.Option(help="Crossings no farther apart than this are the same, in pixels or, on a map, metres.")
    ] = 10.0,
    image: Annotated[
        Path | None, typer.Option(help="Image that both graphs lie on, where one is in its pixels.")
    ] = None,
    rows_from_below: RowsFromBelow = None,
    output: Annotated[Path | None, typer.Option(help="JSON file for the scores.")] = None,
) -> None:
    """Score predicted road graphs: APLS, TOPO, crossings, and the pixels of the roads.

    Graphs may be GeoJSON, GeoPackage, GraphML, or the pickles of published datasets, which are read without running
    anything. Files of two folders are paired by the names of the tiles.

    - `s5-hf score-roads truth.geojson roads.geojson --protocol scene`
    - `s5-hf score-roads 20cities predicted --output scores.json`
    """
    import json

    from ..files import write_text
    from ..roads.scoring import ScoreSettings, score_graph_files, score_table

    settings = ScoreSettings(protocol, pixel_size, junction_radius, image, rows_from_below)
    scores = score_graph_files(truth, predicted, settings)
    typer.echo("\n".join(score_table(scores)))
    if output is not None:
        write_text(output, json.dumps(scores, indent=1) + "\n")


@app.command("convert-graph")
def convert_graph(
    source: Annotated[Path, typer.Argument(help="Road graph: .p, .pkl, .pickle, .geojson, .gpkg or .graphml.")],
    output: Annotated[Path, typer.Argument(help="File to write: .geojson, .gpkg or .graphml.")],
    *,
    rows_from_below: RowsFromBelow = None,
) -> None:
    """Convert a road graph, such as a published pickle, to lines that a GIS opens.

    Coordinates stay those of the file; positions of pickles, (row, column), become (x, y) in pixels. A pickle that
    holds anything but dictionaries, lists, tuples and numbers is refused, and nothing in it is run.

        s5-hf convert-graph region_8_graph_gt.pickle region_8.geojson
    """
    from ..roads import write_graph
    from ..roads.scoring import ScoreSettings, read_for_conversion

    graph, crs = read_for_conversion(source, ScoreSettings(rows_from_below=rows_from_below))
    write_graph(output, graph, crs, _identity() if crs else None)
    typer.echo(f"{output}: {len(graph.nodes):,} nodes, {len(graph.edges):,} edges")


def _identity() -> tuple[float, ...]:
    return 1.0, 0.0, 0.0, 0.0, 1.0, 0.0
