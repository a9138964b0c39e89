// Package backup is the file that a backup of a store is kept in.
//
// It holds the entries as the store does, which is encrypted: who reads the
// file learns what the keys of entries are called and how large they are.
//
//	line      "securevault backup 1\n"
//	header    JSON, its length before it
//	entry     length of the key, key, length of the value, value, CRC-32C of these
//	…
//	end       0, number of entries, SHA-256 of everything before it
//
// Lengths and numbers are varints, checksums big-endian. A checksum for each
// entry names the damaged one; the sum at the end tells that none is missing. A
// Writer makes such a file and a Reader reads it.
package backup

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"time"
)

const (
	magic = "securevault backup 1\n"

	maxHeader = 64 << 10  // bytes
	maxKey    = 64 << 10  // bytes
	maxValue  = 256 << 20 // bytes
)

// ErrDamaged is returned for a file that is no backup, or not a whole one.
var ErrDamaged = errors.New("the backup is damaged")

// Header tells where a backup comes from.
type Header struct {
	Created time.Time `json:"created"`
	Version string    `json:"version"` // of the server that made it
	Storage string    `json:"storage"` // type of the store that it was made of
}

// Writer writes a backup.
type Writer struct {
	out     *bufio.Writer
	sum     hash.Hash
	entries uint64
}

// NewWriter begins a backup on w with its header. Close must be called in the
// end: without that the backup is not whole.
func NewWriter(w io.Writer, h Header) (*Writer, error) {
	encoded, err := json.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("encoding the header: %w", err)
	}
	out := &Writer{out: bufio.NewWriter(w), sum: sha256.New()}
	return out, out.write([]byte(magic), size(encoded), encoded)
}

func size(b []byte) []byte { return binary.AppendUvarint(nil, uint64(len(b))) }

func (w *Writer) write(parts ...[]byte) error {
	for _, part := range parts {
		w.sum.Write(part) // never fails
		if _, err := w.out.Write(part); err != nil {
			return fmt.Errorf("writing the backup: %w", err)
		}
	}
	return nil
}

// Put adds an entry.
func (w *Writer) Put(key string, value []byte) error {
	if key == "" || len(key) > maxKey || len(value) > maxValue {
		return fmt.Errorf("writing the backup: the entry %q has a key of %d bytes and a value of %d, which it cannot hold", key, len(key), len(value))
	}
	name := []byte(key)
	w.entries++
	return w.write(size(name), name, size(value), value, checksum(name, value))
}

func checksum(key, value []byte) []byte {
	table := crc32.MakeTable(crc32.Castagnoli)
	return binary.BigEndian.AppendUint32(nil, crc32.Update(crc32.Checksum(key, table), table, value))
}

// Close makes the backup whole.
func (w *Writer) Close() error {
	if err := w.write(binary.AppendUvarint([]byte{0}, w.entries)); err != nil {
		return err
	}
	if _, err := w.out.Write(w.sum.Sum(nil)); err != nil {
		return fmt.Errorf("writing the backup: %w", err)
	}
	if err := w.out.Flush(); err != nil {
		return fmt.Errorf("writing the backup: %w", err)
	}
	return nil
}

// Reader reads a backup.
type Reader struct {
	Header  Header
	in      *bufio.Reader
	sum     hash.Hash
	entries uint64
	failed  error // of the last ReadByte
}

// NewReader reads the header of a backup.
func NewReader(r io.Reader) (*Reader, error) {
	in := &Reader{in: bufio.NewReader(r), sum: sha256.New()}
	start, err := in.bytes(uint64(len(magic)), uint64(len(magic)))
	switch {
	case err != nil && !errors.Is(err, ErrDamaged):
		return nil, err
	case string(start) != magic:
		return nil, fmt.Errorf("%w: it does not begin as a backup of this program does", ErrDamaged)
	}
	encoded, err := in.field(maxHeader)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(encoded, &in.Header); err != nil {
		return nil, fmt.Errorf("%w: its header is no JSON", ErrDamaged)
	}
	return in, nil
}

// ReadByte implements io.ByteReader, for the varints.
func (r *Reader) ReadByte() (byte, error) {
	b, err := r.in.ReadByte()
	if err == nil {
		r.sum.Write([]byte{b}) // never fails
	}
	r.failed = err
	return b, err
}

func (r *Reader) number() (uint64, error) {
	n, err := binary.ReadUvarint(r)
	if err != nil && r.failed == nil {
		return 0, fmt.Errorf("%w: after %d entries, a number makes no sense", ErrDamaged, r.entries)
	}
	return n, r.explain(err)
}

// explain tells a file that ends too early from one that cannot be read.
func (r *Reader) explain(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: it ends after %d entries, before its end: it was cut short", ErrDamaged, r.entries)
	case errors.Is(err, ErrDamaged):
		return err
	}
	return fmt.Errorf("reading the backup: %w", err)
}

// bytes reads n bytes, if they are at most so many. It takes memory for what is
// there, not for what the file claims.
func (r *Reader) bytes(n, most uint64) ([]byte, error) {
	if n > most {
		return nil, fmt.Errorf("%w: after %d entries, a length of %d makes no sense", ErrDamaged, r.entries, n)
	}
	var content bytes.Buffer
	if _, err := io.CopyN(io.MultiWriter(&content, r.sum), r.in, int64(n)); err != nil {
		return nil, r.explain(err)
	}
	return content.Bytes(), nil
}

// field reads a length and so many bytes.
func (r *Reader) field(most uint64) ([]byte, error) {
	n, err := r.number()
	if err != nil {
		return nil, err
	}
	return r.bytes(n, most)
}

// Next returns the next entry; after the last one of a whole backup its error
// is io.EOF. Any error of the file itself wraps ErrDamaged.
func (r *Reader) Next() (key string, value []byte, err error) {
	name, err := r.field(maxKey)
	if err != nil {
		return "", nil, err
	}
	if len(name) == 0 {
		return "", nil, r.end()
	}
	if value, err = r.field(maxValue); err != nil {
		return "", nil, err
	}
	sum, err := r.bytes(crc32.Size, crc32.Size)
	switch {
	case err != nil:
		return "", nil, err
	case !bytes.Equal(sum, checksum(name, value)):
		return "", nil, fmt.Errorf("%w: the entry %q was altered", ErrDamaged, name)
	}
	r.entries++
	return string(name), value, nil
}

// end checks what a backup ends with.
func (r *Reader) end() error {
	n, err := r.number()
	if err != nil {
		return err
	}
	whole := r.sum.Sum(nil)
	sum, err := r.bytes(sha256.Size, sha256.Size)
	switch {
	case err != nil:
		return err
	case n != r.entries || !bytes.Equal(sum, whole):
		return fmt.Errorf("%w: its %d entries are not those that it was made of", ErrDamaged, r.entries)
	}
	if _, err := r.in.ReadByte(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: something follows its end", ErrDamaged)
	}
	return io.EOF
}

// Check reads a backup to its end and returns its header and how many entries
// it has.
func Check(from io.Reader) (Header, uint64, error) {
	r, err := NewReader(from)
	if err != nil {
		return Header{}, 0, err
	}
	for err == nil {
		_, _, err = r.Next()
	}
	if !errors.Is(err, io.EOF) {
		return Header{}, 0, err
	}
	return r.Header, r.entries, nil
}
