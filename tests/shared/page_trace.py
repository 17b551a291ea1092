"""What the network of a page does on images, and what the reference says that it should."""

import zlib

import numpy as np

from spquant_snn.integer.compare import reference_trace

READY = "document.querySelector('#selftest').className !== 'status'"  # the self-test has ended

# What a page makes of images: `see(base64)` gives the logits of one, and for each layer its spikes and codes.
SEE = """
  globalThis.seen = (values) => [...values];
  globalThis.see = (text) => {
    const { logits, layers } = spquant.run(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)));
    return [[...logits], layers.map(({ spikes, codes }) => [seen(spikes), seen(codes)])];
  };
"""

# The same with a CRC-32 in place of spikes and of codes.
CRC = (
    SEE
    + """
  globalThis.table = Uint32Array.from({ length: 256 }, (_, n) => {
    for (let bit = 0; bit < 8; bit++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
    return n;
  });
  globalThis.seen = (values) => {
    let sum = -1;
    for (const byte of new Uint8Array(values.buffer)) sum = table[(sum ^ byte) & 255] ^ (sum >>> 8);
    return ~sum >>> 0;
  };
"""
)


def seen_by_reference(graph, images, plain=lambda part: zlib.crc32(part.tobytes())):
    """What `see` should give of each image; ``plain`` is what it makes of spikes and of codes, int8."""
    trace = reference_trace(graph, images)
    for n in range(len(images)):
        both = [(spikes[:, n].astype(np.int8), codes[:, n].astype(np.int8)) for _, spikes, codes in trace.layers]
        yield [trace.logits[n].tolist(), [[plain(np.ascontiguousarray(part)) for part in pair] for pair in both]]
