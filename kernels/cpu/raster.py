"""Write digits by hand: strokes in, 28x28 grey-scale images out, in the form of MNIST.

Each image has its own random stream, seeded by (seed, index), so neither the order in which images are drawn
nor the thread that draws one changes its bytes. One thread draws an image in 20 us: a parallel loop would
cost more to compile than it saves on 70,000 of them.
"""

import math

import numpy as np

from kernels.cpu.compile import entry, jit

SIZE = 28
BOX = 20
"""Pixels: the ink is scaled to touch a square of BOX and centred by mass in a square of SIZE, as in MNIST."""

STEPS = 8
"""Straight pieces of the pen's path for each spline segment."""

# SplitMix64 (Steele, Lea, Flood 2014). The constants are np.uint64: mixed with a signed integer, Numba's
# unsigned arithmetic silently becomes float64.
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
MIX_A = np.uint64(0xBF58476D1CE4E5B9)
MIX_B = np.uint64(0x94D049BB133111EB)
SHIFT_30, SHIFT_27, SHIFT_31, SHIFT_11 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11)


@entry
def mix(bits):
    """Scramble 64 bits: every input bit reaches every output bit."""
    bits = (bits ^ (bits >> SHIFT_30)) * MIX_A
    bits = (bits ^ (bits >> SHIFT_27)) * MIX_B
    return bits ^ (bits >> SHIFT_31)


@entry
def uniform(state, low, high):
    """Draw from [low, high); state: (1,) uint64, advanced."""
    state[0] += GOLDEN
    return low + (high - low) * (float(mix(state[0]) >> SHIFT_11) * 2.0**-53)


@entry
def normal(state, mean, deviation):
    """Draw from a bell curve that ends three deviations out: no monsters in 70,000 digits."""
    total = uniform(state, 0.0, 1.0) + uniform(state, 0.0, 1.0) + uniform(state, 0.0, 1.0)
    return mean + deviation * (2.0 * total - 3.0)


@jit
def choose_points(state, digit, points, start, size, variants, share, digit_start, control):
    """Pick a family of `digit`, mix its variants into `control` (max_points, 2), and return the family."""
    pick = uniform(state, 0.0, 1.0)
    family = digit_start[digit]
    while family + 1 < digit_start[digit + 1] and pick >= share[family]:
        family += 1
    count = size[family]
    for p in range(count):
        control[p, 0] = 0.0
        control[p, 1] = 0.0
    weights = np.empty(variants[family])
    total = 0.0
    for k in range(variants[family]):
        # a high power: mostly near one variant, not at their bland average
        weights[k] = uniform(state, 0.05, 1.0) ** 4
        total += weights[k]
    for k in range(variants[family]):
        weight = weights[k] / total
        for p in range(count):
            control[p, 0] += weight * points[start[family] + k * count + p, 0]
            control[p, 1] += weight * points[start[family] + k * count + p, 1]
    jitter = uniform(state, 0.005, 0.065)
    dx = normal(state, 0.0, jitter)
    dy = normal(state, 0.0, jitter)
    for p in range(count):
        if p > 0 and control[p, 0] == control[p - 1, 0] and control[p, 1] == control[p - 1, 1]:
            continue  # the second half of a corner moves with the first, below
        # neighbours move together: independent points would turn rounds into polygons
        dx = 0.7 * dx + 0.714 * normal(state, 0.0, jitter)
        dy = 0.7 * dy + 0.714 * normal(state, 0.0, jitter)
        corner = p + 1 < count and control[p, 0] == control[p + 1, 0] and control[p, 1] == control[p + 1, 1]
        control[p, 0] += dx
        control[p, 1] += dy
        if corner:
            control[p + 1, 0] = control[p, 0]
            control[p + 1, 1] = control[p, 1]
    return family


@jit
def trace_path(state, control, strokes, first, count, path, path_stroke):
    """Follow Catmull-Rom splines through `control`, and return how many points of the path they make.

    control: (count, 2), of which `strokes[first:]` gives the strokes. path: (max, 2) and path_stroke: (max,)
    are filled.
    """
    length = 0
    begin = 0
    while begin < count:
        end = begin
        while end + 1 < count and strokes[first + end + 1] == strokes[first + begin]:
            end += 1
        # a pen that lands late or leaves early
        late = uniform(state, 0.0, 0.35)
        early = uniform(state, 0.0, 0.35)
        last_step = (end - begin) * STEPS
        for step in range(last_step + 1):
            at = late + (end - begin - late - early) * step / last_step
            segment = min(int(at), end - begin - 1)
            t = at - segment
            b = begin + segment
            c = b + 1
            a = max(b - 1, begin)
            d = min(c + 1, end)
            for axis in range(2):
                pa, pb, pc, pd = control[a, axis], control[b, axis], control[c, axis], control[d, axis]
                path[length, axis] = pb + 0.5 * t * (
                    pc - pa + t * (2.0 * pa - 5.0 * pb + 4.0 * pc - pd + t * (3.0 * (pb - pc) + pd - pa))
                )
            path_stroke[length] = strokes[first + begin]
            length += 1
        begin = end + 1
    return length


@jit
def smooth_path(path, path_stroke, length, rounds):
    """Round the corners off, as a fast pen does."""
    for _ in range(rounds):
        x, y = path[0, 0], path[0, 1]
        for i in range(1, length - 1):
            old_x, old_y = path[i, 0], path[i, 1]
            if path_stroke[i - 1] == path_stroke[i + 1]:
                path[i, 0] = 0.25 * x + 0.5 * old_x + 0.25 * path[i + 1, 0]
                path[i, 1] = 0.25 * y + 0.5 * old_y + 0.25 * path[i + 1, 1]
            x, y = old_x, old_y


@jit
def deform_path(state, digit, path, length):
    """Bend the path elastically, then apply a random affine map."""
    balance = normal(state, 0.0, 0.22)
    keystone = normal(state, 0.0, 0.2)
    bow = normal(state, 0.0, 0.07)
    waves = np.empty((4, 4))
    amplitude = uniform(state, 0.0, 0.05)
    for w in range(4):
        waves[w, 0] = normal(state, 0.0, amplitude)
        waves[w, 1] = normal(state, 0.0, 4.0)
        waves[w, 2] = normal(state, 0.0, 4.0)
        waves[w, 3] = uniform(state, 0.0, 2.0 * math.pi)
    width = math.exp(normal(state, -0.03, 0.22))
    slant = normal(state, 0.18, 0.25)
    if digit == 1:
        slant = normal(state, 0.25, 0.3)
    turn = normal(state, 0.0, 0.12)
    cosine, sine = math.cos(turn), math.sin(turn)
    for i in range(length):
        x = path[i, 0] - 0.5
        y = path[i, 1] - 0.5
        y += balance * (0.25 - y * y)
        x = x * (1.0 + keystone * y) + bow * (0.25 - y * y)
        for w in range(4):
            wave = waves[w, 0] * math.sin(waves[w, 1] * x + waves[w, 2] * y + waves[w, 3])
            if w < 2:
                x += wave
            else:
                y += wave
        x = width * x - slant * y
        path[i, 0] = cosine * x - sine * y
        path[i, 1] = sine * x + cosine * y


@jit
def fit_path(state, path, length, radius):
    """Choose the pen, fill `radius` (max,), and scale the inked path into the BOX, keeping its aspect."""
    pen = 0.5 * math.exp(normal(state, 0.88, 0.3))
    swell = uniform(state, 0.0, 0.2)
    swell_phase = uniform(state, 0.0, 2.0 * math.pi)
    nib = uniform(state, 0.0, 0.25)
    nib_angle = uniform(state, 0.0, math.pi)
    rough = uniform(state, 0.0, 0.1)
    widest = 0.0
    for i in range(length):
        ahead = min(i + 1, length - 1)
        dx = path[ahead, 0] - path[ahead - 1, 0]
        dy = path[ahead, 1] - path[ahead - 1, 1]
        direction = math.atan2(dy, dx)
        factor = 1.0 + swell * math.sin(swell_phase + 6.0 * i / length)
        factor *= 1.0 + nib * math.cos(2.0 * (direction - nib_angle))
        radius[i] = max(0.45, pen * factor * (1.0 + normal(state, 0.0, rough)))
        widest = max(widest, radius[i])
    low_x = high_x = path[0, 0]
    low_y = high_y = path[0, 1]
    for i in range(length):
        low_x = min(low_x, path[i, 0])
        high_x = max(high_x, path[i, 0])
        low_y = min(low_y, path[i, 1])
        high_y = max(high_y, path[i, 1])
    scale = (BOX - 2.0 * widest) / max(high_x - low_x, high_y - low_y)
    for i in range(length):
        path[i, 0] = (path[i, 0] - low_x) * scale + widest
        path[i, 1] = (path[i, 1] - low_y) * scale + widest


@jit
def ink_path(path, path_stroke, length, radius, softness, box):
    """Draw the path into `box` (BOX, BOX) float: 0..1, by a round pen with an edge `softness` pixels wide."""
    for row in range(BOX):
        for column in range(BOX):
            box[row, column] = 0.0
    for i in range(length - 1):
        if path_stroke[i] != path_stroke[i + 1]:
            continue
        x0, y0, x1, y1 = path[i, 0], path[i, 1], path[i + 1, 0], path[i + 1, 1]
        dx, dy = x1 - x0, y1 - y0
        squared = max(dx * dx + dy * dy, 1e-12)
        reach = max(radius[i], radius[i + 1]) + softness
        top = max(0, math.floor(min(y0, y1) - reach))
        bottom = min(BOX - 1, math.floor(max(y0, y1) + reach))
        left = max(0, math.floor(min(x0, x1) - reach))
        right = min(BOX - 1, math.floor(max(x0, x1) + reach))
        for row in range(top, bottom + 1):
            py = row + 0.5 - y0
            for column in range(left, right + 1):
                px = column + 0.5 - x0
                t = min(1.0, max(0.0, (px * dx + py * dy) / squared))
                away = math.sqrt((px - t * dx) ** 2 + (py - t * dy) ** 2)
                pen = radius[i] + t * (radius[i + 1] - radius[i])
                cover = min(1.0, max(0.0, 0.5 + (pen - away) / softness))
                box[row, column] = max(box[row, column], cover)


@jit
def centre_box(box, image):
    """Copy `box` into `image` (SIZE, SIZE) uint8, moved by whole pixels so that its mass is in the middle."""
    mass = moment_x = moment_y = 0.0
    for row in range(BOX):
        for column in range(BOX):
            mass += box[row, column]
            moment_x += box[row, column] * (column + 0.5)
            moment_y += box[row, column] * (row + 0.5)
    down = math.floor(SIZE / 2 - moment_y / mass + 0.5)
    across = math.floor(SIZE / 2 - moment_x / mass + 0.5)
    for row in range(SIZE):
        for column in range(SIZE):
            image[row, column] = 0
    for row in range(max(0, -down), min(BOX, SIZE - down)):
        for column in range(max(0, -across), min(BOX, SIZE - across)):
            image[row + down, column + across] = np.uint8(255.0 * box[row, column] + 0.5)


@entry
def draw_digits(seed, first, points, strokes, start, size, variants, share, digit_start, images, labels):
    """Draw digits `first`, `first + 1`, ... of the endless row that `seed` names into `images` and `labels`.

    seed, first: uint64. points to digit_start: the tables of strokes (`tensor/data/stroke_tables.py`).
    images: (count, SIZE, SIZE) uint8 and labels: (count,) uint8, both filled.
    """
    most = 0
    for family in range(len(size)):
        most = max(most, size[family])
    state = np.empty(1, np.uint64)
    control = np.empty((most, 2))
    path = np.empty((most * (STEPS + 1), 2))
    path_stroke = np.empty(most * (STEPS + 1), np.int64)
    radius = np.empty(most * (STEPS + 1))
    box = np.empty((BOX, BOX))
    for i in range(len(labels)):
        state[0] = mix(mix(seed) + (first + np.uint64(i)) * GOLDEN)
        digit = int(uniform(state, 0.0, 10.0))
        family = choose_points(state, digit, points, start, size, variants, share, digit_start, control)
        length = trace_path(state, control, strokes, start[family], size[family], path, path_stroke)
        smooth_path(path, path_stroke, length, int(uniform(state, 0.0, 24.0)))
        deform_path(state, digit, path, length)
        fit_path(state, path, length, radius)
        ink_path(path, path_stroke, length, radius, uniform(state, 0.8, 1.6), box)
        centre_box(box, images[i])
        labels[i] = digit
