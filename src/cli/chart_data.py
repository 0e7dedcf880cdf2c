"""The chart as C: chart_data.py FOLDER OUTPUT DEPFILE. The same files give the same bytes."""
import gzip
import io
import pathlib
import sys
import tarfile


def archive(folder):
    """A .tgz as `helm package` makes them: everything below one folder named after the chart."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            entry = tarfile.TarInfo(f"{folder.name}/{path.relative_to(folder)}")
            entry.size, entry.mode = path.stat().st_size, 0o644
            tar.addfile(entry, io.BytesIO(path.read_bytes()))
    return gzip.compress(packed.getvalue(), mtime=0)


def main():
    folder, output, depfile = map(pathlib.Path, sys.argv[1:])
    data = archive(folder)
    lines = [",".join(map(str, data[i:i + 32])) for i in range(0, len(data), 32)]
    output.write_text('#include "cli/chart.h"\n\nconst unsigned char chart_data[] = {\n' +
                      ",\n".join(lines) + f"}};\nconst size_t chart_data_bytes = {len(data)};\n")
    seen = [folder, *folder.rglob("*")]
    depfile.write_text(f"{output}: " + " ".join(str(p).replace(" ", "\\ ") for p in seen) + "\n")


if __name__ == "__main__":
    main()
