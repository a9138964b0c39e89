package oraclestandin

import (
	"bytes"
	"encoding/binary"
	"time"
)

// Messages of TTC, by their first byte.
const (
	messageProtocol  = 1
	messageTypes     = 2
	messageFunction  = 3
	messageError     = 4 // also: the end of a call that went well
	messageRowHeader = 6
	messageRow       = 7
	messageReturn    = 8
	messageStatus    = 9
	messageDescribe  = 16
	messagePiggyback = 17
	messageNetwork   = 23
)

const (
	// longMark begins a text in chunks.
	longMark = 0xFE
	// longest is the length in bytes of the longest text that is no chunks.
	longest = 0xFC

	charset         = 873  // AL32UTF8
	nationalCharset = 2000 // AL16UTF16
)

// message is a message to a client.
type message struct{ bytes.Buffer }

// byte appends bytes as they are.
func (m *message) byte(values ...byte) { m.Write(values) }

// integers appends numbers, each as its length and its bytes.
func (m *message) integers(values ...int) {
	for _, value := range values {
		encoded := bytes.TrimLeft(binary.BigEndian.AppendUint64(nil, uint64(value)), "\x00")
		m.byte(byte(len(encoded)))
		m.byte(encoded...)
	}
}

// text appends a text with its length, in chunks if it is long.
func (m *message) text(text []byte) {
	if len(text) <= longest {
		m.byte(byte(len(text)))
		m.byte(text...)
		return
	}
	m.byte(longMark)
	for len(text) > 0 {
		size := min(len(text), longest)
		m.byte(byte(size))
		m.byte(text[:size]...)
		text = text[size:]
	}
	m.byte(0)
}

// counted appends a text after its length as a number.
func (m *message) counted(text string) {
	m.integers(len(text))
	if text != "" {
		m.text([]byte(text))
	}
}

// pairs appends keys with their values.
func (m *message) pairs(pairs ...[2]string) {
	for _, pair := range pairs {
		m.counted(pair[0])
		m.counted(pair[1])
		m.integers(0)
	}
}

// noMoreRows is the code that ends a query that went well.
const noMoreRows = 1403

// end appends how a call ended: code 0, or noMoreRows, if well. Rows are those
// that it changed or sent.
func (m *message) end(code int, text string, rows, cursor int) {
	m.byte(messageError)
	m.integers(rows, code, 0, 0, cursor, 0)
	m.byte(0, 0) // type of the statement, whether it is fatal
	m.integers(0, 0)
	m.byte(0, 0)
	m.integers(0, 0)
	m.byte(0)
	m.integers(0, 0, 0)
	m.byte(0, 0)
	m.integers(0, 0, 0)    // padding, iterations, row id
	m.integers(0, 0, 0)    // errors of a batch: codes, offsets, texts
	m.integers(code, rows) // again, in as many bytes as they take
	if code != 0 {
		m.text([]byte(text))
	}
}

// value appends a value of a row.
func (m *message) value(value any) {
	switch value := value.(type) {
	case string:
		m.text([]byte(value))
	case int64:
		m.text(encodeNumber(value))
	case time.Time:
		m.text(encodeTimestamp(value))
	default:
		m.text(nil)
	}
}

// encodeNumber returns a number, which must not be negative, as Oracle stores
// it: an exponent of 100, then digits of base 100 plus one.
func encodeNumber(value int64) []byte {
	if value == 0 {
		return []byte{0x80}
	}
	var digits []byte
	for rest := value; rest > 0; rest /= 100 {
		digits = append([]byte{byte(rest%100) + 1}, digits...)
	}
	exponent := byte(0xC0 + len(digits))
	return append([]byte{exponent}, bytes.TrimRight(digits, "\x01")...)
}

// encodeTimestamp returns a time of UTC as TIMESTAMP WITH TIME ZONE.
func encodeTimestamp(at time.Time) []byte {
	encoded := []byte{
		byte(at.Year()/100 + 100), byte(at.Year()%100 + 100), byte(at.Month()), byte(at.Day()),
		byte(at.Hour() + 1), byte(at.Minute() + 1), byte(at.Second() + 1),
	}
	encoded = binary.BigEndian.AppendUint32(encoded, uint32(at.Nanosecond()))
	return append(encoded, 20, 60)
}

// reader reads a message of a client. The first mistake is kept in err; after
// it everything read is zero.
type reader struct {
	rest []byte
	err  error
}

// bytes returns the next ones.
func (r *reader) bytes(count int) []byte {
	if r.err != nil || count > len(r.rest) {
		r.err = errMalformed
		return make([]byte, min(count, unitSize))
	}
	taken := r.rest[:count]
	r.rest = r.rest[count:]
	return taken
}

func (r *reader) byte() byte { return r.bytes(1)[0] }

// expect reads bytes that have to be there.
func (r *reader) expect(want ...byte) {
	if got := r.bytes(len(want)); r.err == nil && !bytes.Equal(got, want) {
		r.err = errMalformed
	}
}

// integer reads a number of at most four bytes after its length.
func (r *reader) integer() int {
	size := int(r.byte())
	if size > 4 {
		r.err = errMalformed
		return 0
	}
	value := 0
	for _, each := range r.bytes(size) {
		value = value<<8 | int(each)
	}
	return value
}

// skip reads numbers that do not matter.
func (r *reader) skip(count int) {
	for range count {
		r.integer()
	}
}

// text reads a text, be it in chunks.
func (r *reader) text() []byte {
	size := r.byte()
	if size != longMark {
		return r.bytes(int(size))
	}
	var text []byte
	for size = r.byte(); size > 0; size = r.byte() {
		text = append(text, r.bytes(int(size))...)
	}
	return text
}

// counted reads a text after its length as a number.
func (r *reader) counted() string {
	length := r.integer()
	if length == 0 {
		return ""
	}
	text := r.text()
	if len(text) != length {
		r.err = errMalformed
	}
	return string(text)
}

// pairs reads keys with their values.
func (r *reader) pairs(count int) map[string]string {
	read := map[string]string{}
	for i := 0; i < count && r.err == nil; i++ {
		key := r.counted()
		read[key] = r.counted()
		r.integer()
	}
	return read
}

// end expects nothing more, and returns the first mistake.
func (r *reader) end() error {
	if r.err == nil && len(r.rest) > 0 {
		r.err = errMalformed
	}
	return r.err
}
