package mssqlstandin

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"unicode/utf16"
)

// kind is the type of a packet: MS-TDS 2.2.3.1.1.
type kind byte

const (
	kindBatch       kind = 0x01
	kindRPC         kind = 0x03
	kindResponse    kind = 0x04
	kindAttention   kind = 0x06
	kindTransaction kind = 0x0E
	kindLogin       kind = 0x10
	kindPrelogin    kind = 0x12
)

// Bits of a packet's status: MS-TDS 2.2.3.1.2.
const (
	statusLast      = 0x01
	statusIgnore    = 0x02
	statusReset     = 0x08
	statusResetSkip = 0x10
)

const (
	headerSize  = 8
	packetSize  = 4096 // bytes, header included; the default, and all that we agree to
	messageSize = 1 << 20
)

// message is what a client says at once, in one packet or several.
type message struct {
	kind   kind
	status byte
	body   []byte
}

// readMessage reads up to the last packet of a message.
func readMessage(r io.Reader) (message, error) {
	var whole message
	for first := true; ; first = false {
		var header [headerSize]byte
		if _, err := io.ReadFull(r, header[:]); err != nil {
			return message{}, err
		}
		size := int(binary.BigEndian.Uint16(header[2:]))
		switch {
		case size < headerSize || size > packetSize:
			return message{}, fmt.Errorf("a packet of %d bytes", size)
		case first:
			whole.kind = kind(header[0])
		case whole.kind != kind(header[0]):
			return message{}, fmt.Errorf("a packet of type %#x in a message of type %#x", header[0], whole.kind)
		}
		if len(whole.body)+size > messageSize {
			return message{}, errors.New("a message without end")
		}
		whole.status |= header[1]
		body := make([]byte, size-headerSize)
		if _, err := io.ReadFull(r, body); err != nil {
			return message{}, err
		}
		whole.body = append(whole.body, body...)
		if header[1]&statusLast != 0 {
			return whole, nil
		}
	}
}

// writeMessage sends a body in as many packets as it takes.
func writeMessage(w io.Writer, kind kind, session int, body []byte) error {
	for id := byte(1); ; id++ {
		part := body[:min(len(body), packetSize-headerSize)]
		body = body[len(part):]
		packet := make([]byte, headerSize, headerSize+len(part))
		packet[0] = byte(kind)
		if len(body) == 0 {
			packet[1] = statusLast
		}
		binary.BigEndian.PutUint16(packet[2:], uint16(headerSize+len(part)))
		binary.BigEndian.PutUint16(packet[4:], uint16(session))
		packet[6] = id
		if _, err := w.Write(append(packet, part...)); err != nil {
			return err
		}
		if len(body) == 0 {
			return nil
		}
	}
}

// cursor reads the fields of a message. After the first one that is missing, it
// returns zeros, and err says why.
type cursor struct {
	rest []byte
	err  error
}

func (c *cursor) bytes(n int) []byte {
	if c.err != nil || n < 0 || n > len(c.rest) {
		c.fail("%d bytes wanted, %d left", n, len(c.rest))
		return make([]byte, max(0, min(n, 8)))
	}
	taken := c.rest[:n]
	c.rest = c.rest[n:]
	return taken
}

func (c *cursor) fail(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf(format, args...)
	}
	c.rest = nil
}

func (c *cursor) byte() byte     { return c.bytes(1)[0] }
func (c *cursor) uint16() uint16 { return binary.LittleEndian.Uint16(c.bytes(2)) }
func (c *cursor) uint32() uint32 { return binary.LittleEndian.Uint32(c.bytes(4)) }
func (c *cursor) uint64() uint64 { return binary.LittleEndian.Uint64(c.bytes(8)) }

// shortText reads a B_VARCHAR.
func (c *cursor) shortText() string { return decodeText(c, c.bytes(2*int(c.byte()))) }

// decodeText reads UTF-16 in little-endian order.
func decodeText(c *cursor, encoded []byte) string {
	if len(encoded)%2 != 0 {
		c.fail("half a character in a text")
		return ""
	}
	units := make([]uint16, len(encoded)/2)
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(encoded[2*i:])
	}
	return string(utf16.Decode(units))
}

func encodeText(text string) []byte {
	var encoded []byte
	for _, unit := range utf16.Encode([]rune(text)) {
		encoded = binary.LittleEndian.AppendUint16(encoded, unit)
	}
	return encoded
}
