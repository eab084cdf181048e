package store

import (
	"bytes"
	"maps"
	"testing"
)

// FuzzRecord: whatever bytes come, framing a record stays within them, and what
// was framed is what would be written again.
func FuzzRecord(f *testing.F) {
	f.Add([]byte{})
	f.Add(appendPut(nil, KeyOf(1, 2), []byte("value"), nil))
	f.Add(appendRecordHead(nil, opDelete, KeyOf(Cold, 1<<56-1), 0))
	f.Add(appendRecordHead(nil, opPut, 1, ValueBytesMax))
	f.Add(appendRecordHead(nil, opDelete, 1, 1))
	f.Add(appendDeleteRange(nil, 1, KeyOf(3, 5)))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, n := nextRecord(b)
		if n == 0 {
			return
		}
		if n > len(b) || n != encodedBytes(len(r.value)) || r.op < opPut || r.op > opDeleteRange {
			t.Fatalf("framed %d of %d bytes, value %d", n, len(b), len(r.value))
		}
		again := append(appendRecordHead(nil, r.op, r.key, len(r.value)), r.value...)
		if !bytes.Equal(again[4:], b[4:n]) {
			t.Fatalf("%x became %x", b[:n], again)
		}
		sealRecord(again, 7)
		if !checkRecord(again, 7) || checkRecord(again, 8) {
			t.Fatal("a checksum does not depend on what it should")
		}
	})
}

// FuzzSegment opens a store whose only segment has two batches of the given
// bytes with good checksums, but for one that is spoilt; whatever opens goes on
// as a store does, and whatever does not can be salvaged.
func FuzzSegment(f *testing.F) {
	put := appendPut(nil, KeyOf(1, 1), []byte("value"), nil)
	del := appendRecordHead(nil, opDelete, KeyOf(1, 1), 0)
	f.Add(put, del, uint32(1), uint32(1), uint64(2), uint16(0))
	f.Add(put, bytes.Repeat(put, 40), uint32(1), uint32(40), uint64(2), uint16(600))
	f.Add(put, []byte("no record at all, but a good checksum"), uint32(1), uint32(1), uint64(2), uint16(0))
	f.Add(put, appendDeleteRange(del, 0, 1<<64-1), uint32(1), uint32(2), uint64(2), uint16(0))
	f.Add([]byte{}, put, uint32(0), uint32(1), uint64(2), uint16(0))
	f.Add(put, put, uint32(1), uint32(2), uint64(3), uint16(0))
	f.Fuzz(func(t *testing.T, one, two []byte, countOne, countTwo uint32, lsnTwo uint64, spoil uint16) {
		const id = 42
		if len(one)+len(two) > 3000 {
			return
		}
		data := make([]byte, tinySegments.SegmentBytes)
		appendHeader(data[:0], header{version: formatVersion, seq: 1, id: id, lsn: 1, size: int64(len(data)), tail: 1})
		at := sectorBytes
		at += putBatch(data[at:], one, batchHead{id: id, lsn: 1, seq: 1, tail: 1, count: countOne})
		putBatch(data[at:], two, batchHead{id: id, lsn: lsnTwo, seq: 1, tail: 1, count: countTwo})
		if spoil > 0 {
			data[int(spoil)%len(data)] ^= 0x10
		}
		d := NewDisk()
		d.files[segmentName(1)] = &diskFile{disk: d, inode: 1, data: data}
		w, err := openLog(d, tinySegments)
		if err != nil {
			if v, err := findSalvage(d); err == nil {
				if err := v.each(func(Key, []byte) error { return nil }); err != nil {
					t.Fatalf("salvage: %v", err)
				}
			}
			return
		}
		before := contents(t, w)
		checkAccounts(t, w)
		k := KeyOf(9, 9)
		if err := w.commit(appendPut(nil, k, []byte("new"), nil)); err != nil {
			t.Fatalf("commit: %v", err)
		}
		if w, err = openLog(d, tinySegments); err != nil {
			t.Fatalf("open again: %v", err)
		}
		before[k] = "new"
		if after := contents(t, w); !maps.Equal(after, before) {
			t.Fatalf("%v became %v", before, after)
		}
	})
}

// putBatch writes a batch with records, sealed as far as they are records.
func putBatch(dst, records []byte, h batchHead) int {
	copy(dst[batchHeadBytes:], records)
	for at := batchHeadBytes; at < batchHeadBytes+len(records); {
		_, n := nextRecord(dst[at : batchHeadBytes+len(records)])
		if n == 0 {
			break
		}
		sealRecord(dst[at:at+n], recordSeed(h.id))
		at += n
	}
	h.bytes = uint32(len(records))
	putBatchHead(dst, h)
	return int(span(len(records)))
}
