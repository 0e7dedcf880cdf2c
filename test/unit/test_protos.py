"""Our .proto files against Envoy's official descriptors: same names, numbers, types, labels."""
import importlib
import pathlib
import subprocess

import pytest
from google.protobuf import descriptor_pb2

ROOT = pathlib.Path(__file__).resolve().parents[2] / "proto"
FIELD = descriptor_pb2.FieldDescriptorProto

# Messages that we keep as bytes on purpose (see proto/README.md).
AS_BYTES = {"envoy.service.discovery.v3.DiscoveryRequest.node",
            "envoy.service.discovery.v3.DeltaDiscoveryRequest.node"}


def ours():
    protos = sorted(str(p.relative_to(ROOT)) for p in ROOT.rglob("*.proto"))
    out = subprocess.run(["protoc", f"-I{ROOT}", "--descriptor_set_out=/dev/stdout", *protos],
                         check=True, capture_output=True).stdout
    return descriptor_pb2.FileDescriptorSet.FromString(out).file


OURS = ours()


def official(file):
    """The official file of that name as a descriptor message."""
    module = importlib.import_module(file.name.removesuffix(".proto").replace("/", ".") + "_pb2")
    theirs = descriptor_pb2.FileDescriptorProto()
    module.DESCRIPTOR.CopyToProto(theirs)
    return theirs


def messages(scope, prefix):
    for m in getattr(scope, "message_type", None) or getattr(scope, "nested_type", []):
        name = f"{prefix}.{m.name}"
        yield name, m
        yield from messages(m, name)


def enums(file):
    for e in file.enum_type:
        yield f"{file.package}.{e.name}", e
    for name, m in messages(file, file.package):
        for e in m.enum_type:
            yield f"{name}.{e.name}", e


def shape(field, message):
    oneof = message.oneof_decl[field.oneof_index].name if field.HasField("oneof_index") else None
    return field.number, field.label, field.type, field.type_name, oneof


def differences(mine, theirs):
    """What of `mine` isn't in `theirs` as it is; both file descriptors."""
    found = []
    known = dict(messages(theirs, theirs.package))
    for name, m in messages(mine, mine.package):
        if name not in known:
            found.append(f"{name}: no such message")
            continue
        fields = {f.name: f for f in known[name].field}
        for f in m.field:
            full = f"{name}.{f.name}"
            if f.name not in fields:
                found.append(f"{full}: no such field")
            elif full in AS_BYTES:
                if f.type != FIELD.TYPE_BYTES or f.number != fields[f.name].number:
                    found.append(f"{full}: expected bytes with the official number")
            elif shape(f, m) != shape(fields[f.name], known[name]):
                found.append(f"{full}: {shape(f, m)}, officially "
                             f"{shape(fields[f.name], known[name])}")
    values = {name: {v.name: v.number for v in e.value} for name, e in enums(theirs)}
    for name, e in enums(mine):
        for v in e.value:
            if values.get(name, {}).get(v.name) != v.number:
                found.append(f"{name}.{v.name} = {v.number}: not officially so")
    return found


@pytest.mark.parametrize("file", OURS, ids=lambda f: f.name)
def test_our_subset_is_as_the_official_api_has_it(file):
    assert differences(file, official(file)) == []


def test_a_wrong_number_type_or_name_is_found():
    cluster = next(f for f in OURS if f.name.endswith("/cluster.proto"))
    theirs = official(cluster)
    for change in ({"number": 77}, {"type": FIELD.TYPE_BYTES}, {"name": "other"},
                   {"label": FIELD.LABEL_REPEATED}):
        altered = descriptor_pb2.FileDescriptorProto()
        altered.CopyFrom(cluster)
        for key, value in change.items():
            setattr(altered.message_type[0].field[0], key, value)
        assert len(differences(altered, theirs)) == 1, change
