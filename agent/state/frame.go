package state

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

const (
	magic    = "SVSTATE1"
	idSize   = 16                     // bytes of the random id of a file
	headSize = len(magic) + idSize    // bytes
	maxFrame = 64 << 20               // bytes; a longer frame is a broken length
	purpose  = "securevault state v1" // separates this use of the sealing key from others
)

// Record is a value under a key. A nil Value removes the key.
type Record struct {
	Key   string          `json:"k"`
	Value json.RawMessage `json:"v,omitempty"`
}

// errTorn is a frame that was not written to its end.
var errTorn = errors.New("the last write was cut off")

// sealer seals and opens the frames of one file, in their order.
type sealer struct {
	aead cipher.AEAD
	next uint64 // number of the next frame
}

// newSealer derives the key of a file from the sealing key and the file's id.
func newSealer(key, id []byte) (*sealer, error) {
	derived, err := hkdf.Key(sha256.New, key, id, purpose, 32)
	if err != nil {
		return nil, fmt.Errorf("deriving the key of the state: %w", err)
	}
	block, err := aes.NewCipher(derived)
	if err != nil {
		return nil, fmt.Errorf("deriving the key of the state: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("deriving the key of the state: %w", err)
	}
	return &sealer{aead: aead}, nil
}

// nonce is the number of the frame: it never repeats under a file's key, and
// a frame in another place does not open.
func (s *sealer) nonce() []byte {
	nonce := make([]byte, s.aead.NonceSize())
	binary.BigEndian.PutUint64(nonce[len(nonce)-8:], s.next)
	return nonce
}

// seal returns records as a frame: the length of what follows as four bytes,
// big-endian, and the sealed JSON.
func (s *sealer) seal(records []Record) ([]byte, error) {
	plain, err := json.Marshal(records)
	if err != nil {
		return nil, fmt.Errorf("encoding the state: %w", err)
	}
	if len(plain)+s.aead.Overhead() > maxFrame {
		return nil, fmt.Errorf("encoding the state: %d bytes at once are more than %d", len(plain), maxFrame)
	}
	frame := binary.BigEndian.AppendUint32(nil, uint32(len(plain)+s.aead.Overhead()))
	frame = s.aead.Seal(frame, s.nonce(), plain, nil)
	s.next++
	return frame, nil
}

// open reads one frame. It returns io.EOF at the end of the file, errTorn for
// a frame that the file ends within.
func (s *sealer) open(r io.Reader) ([]Record, error) {
	var length [4]byte
	if n, err := io.ReadFull(r, length[:]); err != nil {
		if n == 0 && errors.Is(err, io.EOF) {
			return nil, io.EOF
		}
		return nil, errTorn
	}
	size := binary.BigEndian.Uint32(length[:])
	if size > maxFrame {
		return nil, errors.New("a length makes no sense")
	}
	var sealed bytes.Buffer // grows with what is there, not with what the length claims
	if n, err := io.CopyN(&sealed, r, int64(size)); n < int64(size) {
		if errors.Is(err, io.EOF) {
			return nil, errTorn
		}
		return nil, err
	}
	plain, err := s.aead.Open(nil, s.nonce(), sealed.Bytes(), nil)
	if err != nil {
		return nil, errors.New("it was changed, or sealed with another key")
	}
	var records []Record
	if err := json.Unmarshal(plain, &records); err != nil {
		return nil, fmt.Errorf("decoding a frame: %w", err)
	}
	s.next++
	return records, nil
}

// newHead returns the header of a new file: the magic and a random id.
func newHead() []byte {
	head := make([]byte, headSize)
	copy(head, magic)
	_, _ = rand.Read(head[len(magic):]) // never fails
	return head
}

// readHead returns the id of a file.
func readHead(r io.Reader) ([]byte, error) {
	head := make([]byte, headSize)
	if _, err := io.ReadFull(r, head); err != nil || string(head[:len(magic)]) != magic {
		return nil, errors.New("it is no state of this agent")
	}
	return head[len(magic):], nil
}
