package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
	"time"
)

// MaxRecord is the longest payload, in bytes.
const MaxRecord = 64 << 10

const (
	frameHead  = 9 // length u32, CRC-32C u32, kind u8
	headerSize = 80
	version    = 1
	writerSize = 16

	segmentSuffix    = ".seg"
	checkpointSuffix = ".checkpoint"
	damagedSuffix    = ".damaged"
	partSuffix       = ".part"
)

// magic starts every segment and checkpoint.
var magic = []byte("SLUICEJ\n")

// castagnoli is constant.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// header is the first bytes of a segment. previousEnd and previousChain say
// where the segment before it ends and what its frames sum up to: the proof
// that nothing is missing between the two, and the limit behind which the
// older one holds only the remains of a failed write.
type header struct {
	Writer        string
	Epoch         uint64
	Segment       uint64
	PreviousEnd   int64
	PreviousChain uint32
	Created       time.Time
	Place         uint64
}

var errHeader = errors.New("segment header is damaged")

// encode returns the header as it is at the head of a segment.
func (h *header) encode() []byte {
	dst := append([]byte(nil), magic...)
	dst = binary.LittleEndian.AppendUint32(dst, version)
	dst = binary.LittleEndian.AppendUint32(dst, h.PreviousChain)
	dst = binary.LittleEndian.AppendUint64(dst, h.Segment)
	dst = binary.LittleEndian.AppendUint64(dst, h.Epoch)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(h.PreviousEnd))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(h.Created.UnixNano()))
	dst = append(dst, h.Writer...)
	dst = binary.LittleEndian.AppendUint64(dst, h.Place)
	dst = append(dst, make([]byte, headerSize-4-len(dst))...)
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst, castagnoli))
}

// parseHeader reads a header. A newer version is an error of its own, so that a
// downgraded program does not take a good journal for a damaged one.
func parseHeader(b []byte) (header, error) {
	if len(b) < headerSize || !bytes.Equal(b[:8], magic) ||
		binary.LittleEndian.Uint32(b[headerSize-4:]) != crc32.Checksum(b[:headerSize-4], castagnoli) {
		return header{}, errHeader
	}
	if v := binary.LittleEndian.Uint32(b[8:]); v != version {
		return header{}, fmt.Errorf("journal format %d is newer than this program's %d", v, version)
	}
	return header{
		PreviousChain: binary.LittleEndian.Uint32(b[12:]),
		Segment:       binary.LittleEndian.Uint64(b[16:]),
		Epoch:         binary.LittleEndian.Uint64(b[24:]),
		PreviousEnd:   int64(binary.LittleEndian.Uint64(b[32:])),
		Created:       time.Unix(0, int64(binary.LittleEndian.Uint64(b[40:]))).UTC(),
		Writer:        string(b[48 : 48+writerSize]),
		Place:         binary.LittleEndian.Uint64(b[64:]),
	}, nil
}

// sealFrame fills in the head of a frame whose kind and payload follow it.
func sealFrame(frame []byte) {
	binary.LittleEndian.PutUint32(frame, uint32(len(frame)-frameHead))
	binary.LittleEndian.PutUint32(frame[4:], frameSum(frame))
}

func frameSum(frame []byte) uint32 {
	return crc32.Update(crc32.Checksum(frame[:4], castagnoli), castagnoli, frame[8:])
}

// frameState is what the bytes at one offset are.
type frameState uint8

const (
	frameGood  frameState = iota
	frameShort            // the bytes end inside the frame
	frameBad
)

// parseFrame looks at the frame that b starts with and returns its length.
func parseFrame(b []byte) (int, frameState) {
	if len(b) < frameHead {
		return 0, frameShort
	}
	payload := binary.LittleEndian.Uint32(b)
	if payload > MaxRecord {
		return 0, frameBad
	}
	n := frameHead + int(payload)
	if len(b) < n {
		return 0, frameShort
	}
	if binary.LittleEndian.Uint32(b[4:]) != frameSum(b[:n]) {
		return 0, frameBad
	}
	return n, frameGood
}

// extendChain adds the checksum of a sealed frame to a chain.
func extendChain(chain uint32, frame []byte) uint32 {
	return crc32.Update(chain, castagnoli, frame[4:8])
}

func segmentName(n uint64) string    { return fmt.Sprintf("%020d", n) + segmentSuffix }
func checkpointName(n uint64) string { return fmt.Sprintf("%020d", n) + checkpointSuffix }

// numberIn returns the number of a file called NUMBER + suffix.
func numberIn(name, suffix string) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, suffix)
	if !ok || len(digits) != 20 {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	return n, err == nil && n > 0
}
