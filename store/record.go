package store

import (
	"encoding/binary"
	"hash/crc32"
)

// On disk all integers are little endian, and all checksums CRC32C.
//
//	segment  header sector, then batches, each from a sector's start
//	header   magic 8 | version 4 | seq 4 | id 8 | lsn 8 | size 8 | tail 4 | crc 4
//	batch    magic 4 | crc 4 | id 8 | lsn 8 | seq 4 | tail 4 | bytes 4 | count 4, then bytes of records
//	record   crc 4 | op and size 4 | key 8, then size bytes of value
//
// id is random and secret, one a store: no payload can pass for a batch. seq
// numbers segments in the order of their use and lsn batches, both without
// gaps; tail is the oldest segment that the log needs. A record's checksum
// starts from the id, a batch's from id and seq, so what an earlier use of the
// segment left behind is not taken for new.
const (
	formatVersion = 1

	sectorBytes     = 512 // what a disk writes whole or not at all
	headerBytes     = 48
	batchHeadBytes  = 40
	recordHeadBytes = 16

	segmentMagic = "LoopMQst"
	batchMagic   = 0x42514d4c // "LMQB"

	// ValueBytesMax is the longest value; it fits MQTT's longest packet.
	ValueBytesMax = 1<<28 - 1

	opPut         = 1
	opDelete      = 2
	opDeleteRange = 3 // from key to the key that the value is
)

// table: the polynomial of CRC32C, which processors have an instruction for.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// header is the first sector of a segment.
type header struct {
	version uint32
	seq     uint32 // 0: never used
	id      uint64
	lsn     uint64 // of the segment's first batch
	size    int64
	tail    uint32
}

func appendHeader(dst []byte, h header) []byte {
	at := len(dst)
	dst = append(dst, segmentMagic...)
	dst = binary.LittleEndian.AppendUint32(dst, h.version)
	dst = binary.LittleEndian.AppendUint32(dst, h.seq)
	dst = binary.LittleEndian.AppendUint64(dst, h.id)
	dst = binary.LittleEndian.AppendUint64(dst, h.lsn)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(h.size))
	dst = binary.LittleEndian.AppendUint32(dst, h.tail)
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[at:], castagnoli))
}

// decodeHeader reads the header in sector. unused tells a sector of zeros; a
// header of a newer version has its version and nothing else.
func decodeHeader(sector []byte) (h header, unused, ok bool) {
	if len(sector) < headerBytes {
		return h, false, false
	}
	le := binary.LittleEndian
	h.version = le.Uint32(sector[8:])
	if string(sector[:8]) != segmentMagic {
		return header{}, allZero(sector), false
	}
	if h.version > formatVersion {
		return header{version: h.version}, false, true
	}
	if crc32.Checksum(sector[:headerBytes-4], castagnoli) != le.Uint32(sector[headerBytes-4:]) {
		return header{}, false, false
	}
	h.seq = le.Uint32(sector[12:])
	h.id = le.Uint64(sector[16:])
	h.lsn = le.Uint64(sector[24:])
	h.size = int64(le.Uint64(sector[32:]))
	h.tail = le.Uint32(sector[40:])
	return h, false, h.seq != 0 && h.size > 0
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// batchHead stands before the records of a batch.
type batchHead struct {
	crc   uint32
	id    uint64
	lsn   uint64
	seq   uint32
	tail  uint32
	bytes uint32 // of records
	count uint32
}

// putBatchHead fills the head of batch, whose records are in place already.
func putBatchHead(batch []byte, h batchHead) {
	le := binary.LittleEndian
	le.PutUint32(batch, batchMagic)
	le.PutUint64(batch[8:], h.id)
	le.PutUint64(batch[16:], h.lsn)
	le.PutUint32(batch[24:], h.seq)
	le.PutUint32(batch[28:], h.tail)
	le.PutUint32(batch[32:], h.bytes)
	le.PutUint32(batch[36:], h.count)
	le.PutUint32(batch[4:], batchSum(h.id, h.seq, batch[:batchHeadBytes+int(h.bytes)]))
}

// decodeBatchHead reads the head of a batch; ok says only that it looks like one.
func decodeBatchHead(b []byte) (h batchHead, ok bool) {
	le := binary.LittleEndian
	if len(b) < batchHeadBytes || le.Uint32(b) != batchMagic {
		return h, false
	}
	return batchHead{
		crc: le.Uint32(b[4:]), id: le.Uint64(b[8:]), lsn: le.Uint64(b[16:]), seq: le.Uint32(b[24:]),
		tail: le.Uint32(b[28:]), bytes: le.Uint32(b[32:]), count: le.Uint32(b[36:]),
	}, true
}

// batchSum is the checksum of a batch from its lsn on.
func batchSum(id uint64, seq uint32, batch []byte) uint32 {
	var seed [12]byte
	binary.LittleEndian.PutUint64(seed[:], id)
	binary.LittleEndian.PutUint32(seed[8:], seq)
	return crc32.Update(crc32.Checksum(seed[:], castagnoli), castagnoli, batch[8:])
}

// recordSeed starts the checksums of records of the store id.
func recordSeed(id uint64) uint32 {
	var seed [8]byte
	binary.LittleEndian.PutUint64(seed[:], id)
	return crc32.Checksum(seed[:], castagnoli)
}

// record is one operation. value is a view.
type record struct {
	op    uint8
	key   Key
	value []byte
}

// encodedBytes is what a value of size bytes takes as a record.
func encodedBytes(size int) int { return recordHeadBytes + size }

// appendRecordHead starts a record whose value of size bytes follows. The
// checksum is left open, sealRecord writes it.
func appendRecordHead(dst []byte, op uint8, k Key, size int) []byte {
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(size)<<4|uint32(op))
	return binary.LittleEndian.AppendUint64(dst, uint64(k))
}

// keyBytes is the length of a key as a value.
const keyBytes = 8

func appendDeleteRange(dst []byte, first, last Key) []byte {
	dst = appendRecordHead(dst, opDeleteRange, first, keyBytes)
	return binary.LittleEndian.AppendUint64(dst, uint64(last))
}

// last is where a deletion of a range ends, for others the key itself.
func (r *record) last() Key {
	if r.op != opDeleteRange {
		return r.key
	}
	return Key(binary.LittleEndian.Uint64(r.value))
}

// sealRecord writes the checksum of the record that b is.
func sealRecord(b []byte, seed uint32) {
	binary.LittleEndian.PutUint32(b, crc32.Update(seed, castagnoli, b[4:]))
}

// nextRecord frames the record at the start of b without looking at its
// checksum. n is 0 when b does not start with a whole record.
func nextRecord(b []byte) (r record, n int) {
	if len(b) < recordHeadBytes {
		return r, 0
	}
	word := binary.LittleEndian.Uint32(b[4:])
	size := int(word >> 4)
	r.op = uint8(word & 15)
	known := r.op == opPut || r.op == opDelete && size == 0 || r.op == opDeleteRange && size == keyBytes
	if !known || size > len(b)-recordHeadBytes {
		return record{}, 0
	}
	r.key = Key(binary.LittleEndian.Uint64(b[8:]))
	r.value = b[recordHeadBytes : recordHeadBytes+size]
	return r, recordHeadBytes + size
}

// checkRecord tells whether the checksum of the record b is right.
func checkRecord(b []byte, seed uint32) bool {
	return binary.LittleEndian.Uint32(b) == crc32.Update(seed, castagnoli, b[4:])
}

// sectors is n rounded up to whole sectors.
func sectors(n int) int { return (n + sectorBytes - 1) &^ (sectorBytes - 1) }
