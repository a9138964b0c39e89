package mongostandin

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// Operation codes of the wire protocol, and its sizes in bytes.
const (
	opReply = 1    // answers opQuery
	opQuery = 2004 // for the first hello alone
	opMsg   = 2013

	headerSize   = 16
	checksumSize = 4
	maxMessage   = 48_000_000
)

// Flags of OP_MSG. The lower sixteen bits must be understood by who receives them.
const (
	checksumPresent = 1 << 0
	moreToCome      = 1 << 1
	exhaustAllowed  = 1 << 16
	mustUnderstand  = 1<<16 - 1
)

// request is a command as it came.
type request struct {
	id       int32
	legacy   bool // came as OP_QUERY
	silent   bool // the client wants no answer
	exhaust  bool // the client takes any number of answers
	name     string
	database string
	body     bson.Raw
	fields   map[string]bson.RawValue // without the command's own, that is named
	sequence map[string][]bson.Raw    // documents that came beside the body, by field
}

// readMessage reads one message, its header included.
func readMessage(from io.Reader) ([]byte, error) {
	var header [headerSize]byte
	if _, err := io.ReadFull(from, header[:]); err != nil {
		return nil, err
	}
	length := binary.LittleEndian.Uint32(header[:])
	if length < headerSize || length > maxMessage {
		return nil, fmt.Errorf("a message of %d bytes", length)
	}
	message := make([]byte, length)
	copy(message, header[:])
	_, err := io.ReadFull(from, message[headerSize:])
	return message, err
}

// parseRequest reads a whole message.
func parseRequest(message []byte) (request, error) {
	if len(message) < headerSize {
		return request{}, errors.New("a message shorter than its header")
	}
	req := request{id: int32(binary.LittleEndian.Uint32(message[4:]))}
	var err error
	switch code := binary.LittleEndian.Uint32(message[12:]); code {
	case opMsg:
		err = req.parseMsg(message)
	case opQuery:
		err = req.parseQuery(message[headerSize:])
	default:
		err = fmt.Errorf("operation code %d", code)
	}
	if err != nil {
		return request{}, err
	}
	return req, req.parseBody()
}

// parseMsg reads flags, sections and checksum of OP_MSG.
func (r *request) parseMsg(message []byte) error {
	rest := message[headerSize:]
	if len(rest) < 4 {
		return errors.New("a message without flags")
	}
	flags := binary.LittleEndian.Uint32(rest)
	rest = rest[4:]
	if unknown := flags & mustUnderstand &^ (checksumPresent | moreToCome); unknown != 0 {
		return fmt.Errorf("unknown required flags %#x", unknown)
	}
	if flags&checksumPresent != 0 {
		if len(rest) < checksumSize {
			return errors.New("a message without its checksum")
		}
		end := len(message) - checksumSize
		if binary.LittleEndian.Uint32(message[end:]) != crc32.Checksum(message[:end], crc32.MakeTable(crc32.Castagnoli)) {
			return errors.New("a wrong checksum")
		}
		rest = rest[:len(rest)-checksumSize]
	}
	r.silent, r.exhaust = flags&moreToCome != 0, flags&exhaustAllowed != 0
	for len(rest) > 0 {
		var err error
		if rest, err = r.parseSection(rest[0], rest[1:]); err != nil {
			return err
		}
	}
	return nil
}

// parseSection reads one section and returns what follows it.
func (r *request) parseSection(kind byte, rest []byte) ([]byte, error) {
	if kind > 1 {
		return nil, fmt.Errorf("a section of kind %d", kind)
	}
	section, rest, err := sized(rest)
	if err != nil {
		return nil, err
	}
	if kind == 0 {
		if r.body != nil {
			return nil, errors.New("two bodies")
		}
		r.body = section
		return rest, nil
	}
	identifier, documents, ended := bytes.Cut(section[4:], []byte{0})
	name := string(identifier)
	if _, twice := r.sequence[name]; !ended || twice {
		return nil, fmt.Errorf("a broken sequence %q", name)
	}
	if r.sequence == nil {
		r.sequence = map[string][]bson.Raw{}
	}
	r.sequence[name] = []bson.Raw{}
	for left := documents; len(left) > 0; {
		var document []byte
		if document, left, err = sized(left); err != nil {
			return nil, err
		}
		if err := bson.Raw(document).Validate(); err != nil {
			return nil, fmt.Errorf("reading sequence %q: %w", name, err)
		}
		r.sequence[name] = append(r.sequence[name], document)
	}
	return rest, nil
}

// parseQuery reads OP_QUERY, of which commands alone are left in MongoDB 7.
func (r *request) parseQuery(rest []byte) error {
	if len(rest) < 4 {
		return errors.New("a query without flags")
	}
	collection, rest, ended := bytes.Cut(rest[4:], []byte{0})
	database, command := strings.CutSuffix(string(collection), ".$cmd")
	if !ended || !command || len(rest) < 8 {
		return errors.New("a query that is no command")
	}
	// Numbers of documents to skip and to return come first.
	body, rest, err := sized(rest[8:])
	if err != nil || len(rest) > 0 {
		return errors.New("a query that is not one document")
	}
	r.legacy, r.database, r.body = true, database, body
	return nil
}

// sized splits off what begins with its own size, which includes the size's four
// bytes.
func sized(from []byte) (part, rest []byte, err error) {
	if len(from) < 5 {
		return nil, nil, errors.New("a message that ends too early")
	}
	size := binary.LittleEndian.Uint32(from)
	if size < 5 || uint64(size) > uint64(len(from)) {
		return nil, nil, fmt.Errorf("%d bytes announced, %d there", size, len(from))
	}
	return from[:size], from[size:], nil
}

// parseBody finds the command's name, its database and its fields.
func (r *request) parseBody() error {
	if r.body == nil {
		return errors.New("a message without a body")
	}
	if err := r.body.Validate(); err != nil {
		return fmt.Errorf("reading the body: %w", err)
	}
	if err := r.parseFields(); err != nil {
		return err
	}
	if !r.legacy {
		r.database, _ = r.fields["$db"].StringValueOK()
	}
	if r.database == "" {
		return errors.New("a command without $db")
	}
	return nil
}

func (r *request) parseFields() error {
	elements, err := r.body.Elements()
	if err != nil || len(elements) == 0 {
		return errors.New("an empty command")
	}
	r.name, r.fields = elements[0].Key(), map[string]bson.RawValue{}
	for _, element := range elements[1:] {
		if _, twice := r.fields[element.Key()]; twice {
			return fmt.Errorf("field %q twice", element.Key())
		}
		r.fields[element.Key()] = element.Value()
	}
	return nil
}

// reply encodes an answer to the message with the id.
func reply(id, responseTo int32, legacy bool, flags uint32, answer bson.D) ([]byte, error) {
	document, err := bson.Marshal(answer)
	if err != nil {
		return nil, fmt.Errorf("encoding an answer: %w", err)
	}
	code, message := uint32(opMsg), make([]byte, headerSize)
	if legacy {
		// Flags, cursor id, first document's number, number of documents.
		code = opReply
		message = binary.LittleEndian.AppendUint32(message, 0)
		message = binary.LittleEndian.AppendUint64(message, 0)
		message = binary.LittleEndian.AppendUint32(message, 0)
		message = binary.LittleEndian.AppendUint32(message, 1)
	} else {
		message = binary.LittleEndian.AppendUint32(message, flags)
		message = append(message, 0)
	}
	message = append(message, document...)
	binary.LittleEndian.PutUint32(message, uint32(len(message)))
	binary.LittleEndian.PutUint32(message[4:], uint32(id))
	binary.LittleEndian.PutUint32(message[8:], uint32(responseTo))
	binary.LittleEndian.PutUint32(message[12:], code)
	return message, nil
}
