package mssqlstandin

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// Data types on the wire: MS-TDS 2.2.5.4.
const (
	typeNull      = 0x1F
	typeInt       = 0x26
	typeBit       = 0x68
	typeVarBinary = 0xA5
	typeNVarChar  = 0xE7
)

const (
	unlimited          = 0xFFFF // the length of nvarchar(max)
	transactionHeader  = 2      // the type of the one header we know
	procedureByID      = 0xFFFF
	procExecuteSQL     = 10
	procPrepareExecute = 13
	parameterByRef     = 0x01
)

// procedure is a decoded RPC.
type procedure struct {
	name       string
	parameters []parameter
}

// parameter has a value that is nil, an int64, a bool, a string or []byte.
type parameter struct {
	name   string
	output bool
	value  any
}

// decodeHeaders reads ALL_HEADERS and returns the transaction that the client
// believes to be in, 0 for none.
func decodeHeaders(body *cursor) (transaction uint64) {
	total := int(body.uint32())
	headers := cursor{rest: body.bytes(total - 4)}
	for len(headers.rest) > 0 {
		length := int(headers.uint32())
		header := cursor{rest: headers.bytes(length - 4)}
		if header.uint16() == transactionHeader {
			transaction = header.uint64()
		}
		if headers.err == nil {
			headers.err = header.err
		}
	}
	if body.err == nil && headers.err != nil {
		body.fail("reading ALL_HEADERS: %s", headers.err)
	}
	return transaction
}

// decodeBatch reads an SQLBatch.
func decodeBatch(encoded []byte) (transaction uint64, text string, err error) {
	body := cursor{rest: encoded}
	transaction = decodeHeaders(&body)
	text = decodeText(&body, body.rest)
	return transaction, text, body.err
}

// decodeProcedure reads an RPC of a single procedure.
func decodeProcedure(encoded []byte) (transaction uint64, called procedure, err error) {
	body := cursor{rest: encoded}
	transaction = decodeHeaders(&body)
	if length := body.uint16(); length != procedureByID {
		called.name = strings.ToLower(strings.TrimPrefix(decodeText(&body, body.bytes(2*int(length))), "sys."))
	} else {
		id := body.uint16()
		called.name = map[uint16]string{procExecuteSQL: "sp_executesql", procPrepareExecute: "sp_prepexec"}[id]
		if called.name == "" {
			body.fail("the procedure with the number %d", id)
		}
	}
	body.uint16() // options: whether to describe the columns
	for len(body.rest) > 0 {
		called.parameters = append(called.parameters, decodeParameter(&body))
	}
	return transaction, called, body.err
}

func decodeParameter(body *cursor) parameter {
	var decoded parameter
	decoded.name = body.shortText()
	decoded.output = body.byte()&parameterByRef != 0
	switch kind := body.byte(); kind {
	case typeNull:
	case typeInt:
		body.byte() // how long it may be
		decoded.value = decodeInteger(body, body.bytes(int(body.byte())))
	case typeBit:
		body.byte()
		if value := body.bytes(int(body.byte())); len(value) > 0 {
			decoded.value = value[0] != 0
		}
	case typeNVarChar, typeVarBinary:
		decodeLong(body, kind, &decoded)
	default:
		body.fail("a parameter of the type %#x", kind)
	}
	return decoded
}

func decodeInteger(body *cursor, encoded []byte) any {
	switch len(encoded) {
	case 0:
		return nil
	case 1:
		return int64(encoded[0])
	case 2:
		return int64(int16(binary.LittleEndian.Uint16(encoded)))
	case 4:
		return int64(int32(binary.LittleEndian.Uint32(encoded)))
	case 8:
		return int64(binary.LittleEndian.Uint64(encoded))
	}
	body.fail("an integer of %d bytes", len(encoded))
	return nil
}

// decodeLong reads a text or bytes, in one piece or, where there is no limit, in
// chunks.
func decodeLong(body *cursor, kind byte, into *parameter) {
	most := body.uint16()
	if kind == typeNVarChar {
		body.bytes(5) // the collation
	}
	var value []byte
	if most == unlimited {
		if body.uint64() == 1<<64-1 {
			return // NULL
		}
		for length := body.uint32(); length > 0 && body.err == nil; length = body.uint32() {
			value = append(value, body.bytes(int(length))...)
		}
	} else {
		length := body.uint16()
		if length == 0xFFFF {
			return // NULL
		}
		value = body.bytes(int(length))
	}
	if kind == typeNVarChar {
		into.value = decodeText(body, value)
	} else {
		into.value = value
	}
}

// Requests to the transaction manager: MS-TDS 2.2.6.9.
const (
	requestBegin    = 5
	requestCommit   = 7
	requestRollback = 8
)

// decodeTransaction reads a request to the transaction manager.
func decodeTransaction(encoded []byte) (transaction uint64, request uint16, err error) {
	body := cursor{rest: encoded}
	transaction = decodeHeaders(&body)
	request = body.uint16()
	switch request {
	case requestBegin:
		body.byte() // the isolation level
		body.shortText()
	case requestCommit, requestRollback:
		body.shortText()
		if body.byte() != 0 {
			body.fail("a transaction that begins another one")
		}
	default:
		body.fail("the transaction manager's request %d", request)
	}
	if body.err == nil && len(body.rest) > 0 {
		body.err = fmt.Errorf("%d bytes too many", len(body.rest))
	}
	return transaction, request, body.err
}
