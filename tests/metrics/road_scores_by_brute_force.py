"""APLS and walks of TOPO once more, step by step as the definitions say, with networkx and without any shortcut."""

import itertools
import math

import networkx

COS_41 = math.cos(math.radians(41))
COS_40 = math.cos(math.radians(40))


def degrees(node):
    x, y = node
    return 41 - y / 111111, -71 + x / (111111 * COS_41)


def metres(a, b):
    return 111111 * math.hypot(b[0] - a[0], (b[1] - a[1]) * math.cos(math.radians(a[0])))


def hop_graph(graph):
    """A networkx graph whose nodes are numbered in the order in which the edges name them."""
    made, numbers = networkx.Graph(), {}

    def node(place):
        number = numbers.setdefault((f"{place[0]:.7f}", f"{place[1]:.7f}"), len(numbers))
        made.add_node(number) if number in made else made.add_node(number, place=place)
        return number

    for first, second in graph.edges:
        a, b = degrees(graph.nodes[first]), degrees(graph.nodes[second])
        length = metres(a, b)
        hops = int(length / 2) + 1 if length > 3 else 1
        for hop in range(hops):
            ends = [
                node(tuple(p * (1 - share) + q * share for p, q in zip(a, b, strict=True)))
                for share in (hop / hops, (hop + 1) / hops)
            ]
            if ends[0] != ends[1]:
                places = [made.nodes[end]["place"] for end in ends]
                made.add_edge(*ends, length=int(100 * metres(*places)))
    return made


def control_points(made, settings):
    width, height = settings.tile
    chosen, covered, cells, visited = [], set(), set(), set()

    def choose(node, end):
        lat, lon = made.nodes[node]["place"]
        row, column = (41 - lat) * 111111, (lon + 71) * 111111 * COS_41
        cell = int(lat * 111111 / 2), int(lon * 111111 / 2)
        inside = (
            settings.margin < row < height - settings.margin and settings.margin < column < width - settings.margin
        )
        if inside and (end or node not in covered) and cell not in cells:
            chosen.append(node)
            cells.add(cell)
            covered.update(networkx.single_source_shortest_path_length(made, node, cutoff=4))

    for node in range(len(made)):
        if made.degree[node] == 2:
            continue
        for near in made[node]:
            if near in visited:
                continue
            chain = [node, near]
            while made.degree[chain[-1]] == 2:
                chain += [other for other in made[chain[-1]] if other != chain[-2]]
            visited.update(chain)
            if len(chain) > settings.long_chain:
                count = int(len(chain) / settings.chain_step) + 1
                for part in range(1, count):
                    choose(chain[int(len(chain) * part / count)], False)
        choose(node, made.degree[node] == 1)
    return chosen


def partner(made, place, taken):
    def beyond(node):
        other = made.nodes[node]["place"]
        return math.hypot(*(max(0, abs(p - q) - 1e-6) for p, q in zip(place, other, strict=True)))

    for node in sorted(made, key=beyond)[:10]:
        if node not in taken and metres(place, made.nodes[node]["place"]) < 10:
            return node
    return None


def direction_score(ours, theirs, settings):
    """Sum of penalties and number of pairs."""
    places, taken, partners = control_points(ours, settings), set(), {}
    for place in places:
        partners[place] = partner(theirs, ours.nodes[place]["place"], taken)
        if partners[place] is not None:
            taken.update(networkx.single_source_shortest_path_length(theirs, partners[place], settings.taken_hops))
    penalty, pairs = 0.0, 0
    from_places, from_partners = (
        {node: networkx.single_source_dijkstra_path_length(made, node, weight="length") for node in nodes}
        for made, nodes in ((ours, places), (theirs, {node for node in partners.values() if node is not None}))
    )
    for a, b in itertools.combinations(places, 2):
        if partners[a] is None or partners[b] is None:
            penalty, pairs = penalty + 1, pairs + 1
            continue
        if b not in from_places[a]:
            continue
        wanted = from_places[a][b] / 100
        if wanted <= settings.shortest_path:
            continue
        found = from_partners[partners[a]].get(partners[b], 0.0) / 100
        penalty, pairs = penalty + min(1, abs(wanted - found) / wanted), pairs + 1
    return penalty, pairs


def tree_marbles(walker, start, radius):
    """Marbles of a walk on a graph without rings, where every edge is passed once: (lat, lon, direction)."""
    first, second = start.ends
    rest = networkx.Graph()
    rest.add_nodes_from(range(len(walker.places)))
    for a, b in walker.edges.tolist():
        if {a, b} != {first, second}:
            rest.add_edge(a, b, length=walker.neighbours[a][b])
    found = []

    def drop(begin, end, length, along, last):
        while along < length and along <= last:
            step = walker.places[end] - walker.places[begin]
            found.append((*(walker.places[begin] + step * along / length), *step))
            along += 0.00005

    drop(second, first, walker.neighbours[second][first], 0.0, 1.0)
    for root, distance in zip(start.ends, start.distances, strict=True):
        lengths = networkx.single_source_dijkstra_path_length(rest, root, weight="length")
        for near, far in networkx.bfs_edges(rest, root):
            begun = distance + lengths[near]
            if begun <= radius:
                offset = 0.00005 * math.ceil(begun / 0.00005) - begun
                drop(near, far, walker.neighbours[near][far], offset, radius - begun)
    return found


def matched(ours, theirs):
    """Size of a maximum matching of marbles that are near each other on roads of one direction."""
    pairs = networkx.Graph()
    pairs.add_nodes_from(("ours", index) for index in range(len(ours)))
    for (i, a), (j, b) in itertools.product(enumerate(ours), enumerate(theirs)):
        near = math.hypot(a[0] - b[0], (a[1] - b[1]) * COS_41) < 0.0001
        u, v = (a[2], a[3] * COS_40), (b[2], b[3] * COS_40)
        cosine = abs(u[0] * v[0] + u[1] * v[1]) / math.hypot(*u) / math.hypot(*v)
        if near and 1 - cosine < 0.29:
            pairs.add_edge(("ours", i), ("theirs", j))
    top = [("ours", index) for index in range(len(ours))]
    return len(networkx.bipartite.hopcroft_karp_matching(pairs, top)) // 2
