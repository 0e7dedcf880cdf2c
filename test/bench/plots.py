"""Pictures of cost against size, as PNG and SVG."""

COLOURS = {"a": "#1f77b4", "b": "#2ca02c", "c": "#d62728", "floor": "#7f7f7f"}
MANY = 5            # lines: a legend of more stands beside them
HUES = 10           # until colours begin again
LABEL_POINTS = 9.5  # a line's last value needs so much height


class Picture:
    """Lines over the mesh's size, both axes logarithmic; `with Picture(...) as p: p.line(...)`."""

    def __init__(self, out, name, title, unit, size="proxies"):
        import matplotlib
        matplotlib.use("Agg")
        import matplotlib.pyplot as plt
        self.plt, self.out, self.name, self.drawn, self.last = plt, out, name, 0, []
        self.figure, self.axes = plt.subplots(figsize=(8, 5))
        self.axes.set_title(title)
        self.axes.set_xlabel(size)
        self.axes.set_ylabel(unit)

    def line(self, points, label, style="-", colour=None):
        """points: size -> cost."""
        points = sorted((x, y) for x, y in points.items() if y)
        if not points:
            return
        style = style if self.drawn < HUES else "--"
        self.drawn += 1
        drawn, = self.axes.plot(*zip(*points), style, marker="o", markersize=4, label=label,
                                color=colour)
        self.last.append((*points[-1], drawn.get_color()))

    def write_last_values(self):
        """Each beside its line's end, or as far above it as the one below needs."""
        to_points = 72 / self.figure.dpi
        free = 0
        for x, y, colour in sorted(self.last, key=lambda last: last[1]):
            at = self.axes.transData.transform((x, y))[1] * to_points
            up = max(at, free)
            free = up + LABEL_POINTS
            self.axes.annotate(f"{y:,.3g}", (x, y), textcoords="offset points",
                               xytext=(6, up - at - 3), fontsize=8, color=colour)

    def reach(self, value, label):
        """What is to be reached, at any size."""
        self.axes.axhline(value, color="black", linewidth=0.8, linestyle=":", label=label)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None and self.drawn:
            self.save()
        self.plt.close(self.figure)

    def save(self):
        from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
        a = self.axes
        a.set_xscale("log")
        a.set_yscale("log")
        a.set_xlim(right=a.get_xlim()[1] * 1.4)  # room for the last values
        a.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=30))
        for axis in (a.xaxis, a.yaxis):
            axis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,.10g}"))
            axis.set_minor_formatter(NullFormatter())
        a.grid(True, which="major", alpha=0.4)
        a.grid(True, which="minor", alpha=0.1)
        if self.drawn > MANY:
            self.figure.set_size_inches(10.5, 5)
            a.legend(fontsize=9, loc="center left", bbox_to_anchor=(1.01, 0.5))
        else:
            a.legend(fontsize=9)
        self.figure.tight_layout()
        self.write_last_values()
        for kind in ("png", "svg"):
            self.figure.savefig(self.out / f"{self.name}.{kind}", dpi=120)
