#!/usr/bin/env python3
"""Checks a proof of `consentry trail prove`: needs Python 3 and openssl 3, and nothing of Consentry.

    verify-proof.py proof.json [KEY]

KEY is the public key (64 hexadecimal digits) from the ledger's owner. Without it, the proof only holds together.
"""
import hashlib, json, os, subprocess, sys, tempfile

def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()

def refuse(why):
    sys.exit("the proof does not hold: " + why)

proof = json.load(open(sys.argv[1], encoding="utf-8"))
signed = proof["checkpoint"]
signature, key = bytes.fromhex(signed.pop("sig")), bytes.fromhex(signed["key"])
writer, seq = bytes.fromhex(proof["writer"]), proof["seq"]
core = json.loads(proof["core"])
if (core["w"], core["n"], signed["w"]) != (proof["writer"], seq, proof["writer"]):
    refuse("the record, its number and the checkpoint belong to different journals")
record = sha(b"rec/1", writer, seq.to_bytes(8, "big"), bytes.fromhex(proof["previous"]), proof["core"].encode())
if "erasable" in proof:
    salt, part = bytes.fromhex(proof["erasable"]["salt"]), proof["erasable"]["part"].encode()
    if sha(b"erasable/1", salt, part).hex() != core.get("x"):
        refuse("the erasable part is not what the record commits to")
if "tree" in proof:  # RFC 9162, section 2.1.3.2
    index, last = proof["tree"]["index"], proof["tree"]["size"] - 1
    node = sha(b"\0", record)
    for sibling in map(bytes.fromhex, proof["tree"]["path"]):
        if last == 0:
            refuse("the path is too long")
        if index % 2 or index == last:
            node = sha(b"\1", sibling, node)
            while index % 2 == 0 and index:
                index, last = index >> 1, last >> 1
        else:
            node = sha(b"\1", node, sibling)
        index, last = index >> 1, last >> 1
    if last or node.hex() != signed.get("root"):
        refuse("the path does not lead to the root of the day")
else:
    for number, after in enumerate(proof["chain"], seq + 1):
        record = sha(b"rec/1", writer, number.to_bytes(8, "big"), record, after.encode())
    if (seq + len(proof["chain"]), record.hex()) != (signed["n"], signed["h"]):
        refuse("the chain does not lead to the checkpoint")
statement = b"checkpoint/1" + json.dumps(signed, sort_keys=True, separators=(",", ":")).encode()
with tempfile.TemporaryDirectory() as place:
    names = [os.path.join(place, name) for name in ("key", "statement", "signature")]
    for name, data in zip(names, (bytes.fromhex("302a300506032b6570032100") + key, statement, signature)):
        open(name, "wb").write(data)
    openssl = "openssl pkeyutl -verify -rawin -pubin -keyform DER -inkey".split()
    if subprocess.run([*openssl, names[0], "-in", names[1], "-sigfile", names[2]], capture_output=True).returncode:
        refuse("the signature is wrong")
if len(sys.argv) > 2 and sys.argv[2].lower() != key.hex():
    refuse("it is signed with another key")
print(f"record {seq} holds, signed at {signed['at']} ms with the key {key.hex()}")
print(proof["core"])
