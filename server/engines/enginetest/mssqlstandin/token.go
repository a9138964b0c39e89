package mssqlstandin

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Tokens of a response: MS-TDS 2.2.7.
const (
	tokenReturnStatus = 0x79
	tokenColumns      = 0x81
	tokenError        = 0xAA
	tokenReturnValue  = 0xAC
	tokenLoginAck     = 0xAD
	tokenRow          = 0xD1
	tokenEnvChange    = 0xE3
	tokenDone         = 0xFD
	tokenDoneProc     = 0xFE
	tokenDoneInProc   = 0xFF
)

// Bits of a DONE.
const (
	doneMore      = 0x01
	doneError     = 0x02
	doneCount     = 0x10
	doneAttention = 0x20
)

// Kinds of an ENVCHANGE.
const (
	changeDatabase   = 1
	changePacketSize = 4
	changeBegin      = 8
	changeCommit     = 9
	changeRollback   = 10
	changeReset      = 18
)

const (
	serverName    = "STANDIN"
	serverProgram = "Microsoft SQL Server"
	serverVersion = 16
)

// refusal is an error of SQL Server.
type refusal struct {
	number  int
	state   byte
	class   byte
	message string
}

func (r refusal) Error() string { return fmt.Sprintf("%s (%d)", r.message, r.number) }

// refuse returns an error of the class that most have.
func refuse(number int, format string, args ...any) refusal {
	return refusal{number, 1, 16, fmt.Sprintf(format, args...)}
}

// answer is the response to one message. Bodies that are procedures have other
// tokens at the end of a statement.
type answer struct {
	procedure bool
	tokens    []byte
}

func (a *answer) uint16(value int) {
	a.tokens = binary.LittleEndian.AppendUint16(a.tokens, uint16(value))
}
func (a *answer) uint32(value uint32) { a.tokens = binary.LittleEndian.AppendUint32(a.tokens, value) }
func (a *answer) byte(values ...byte) { a.tokens = append(a.tokens, values...) }

func (a *answer) shortText(text string) {
	encoded := encodeText(text)
	a.byte(byte(len(encoded) / 2))
	a.byte(encoded...)
}

func (a *answer) longText(text string) {
	encoded := encodeText(text)
	a.uint16(len(encoded) / 2)
	a.byte(encoded...)
}

// sized writes a token that begins with its length.
func (a *answer) sized(token byte, write func(*answer)) {
	var inner answer
	write(&inner)
	a.byte(token)
	a.uint16(len(inner.tokens))
	a.byte(inner.tokens...)
}

// changeText tells of something new in the session that is a text.
func (a *answer) changeText(kind byte, next, last string) {
	a.sized(tokenEnvChange, func(a *answer) {
		a.byte(kind)
		a.shortText(next)
		a.shortText(last)
	})
}

// changeTransaction tells that a transaction has begun or ended.
func (a *answer) changeTransaction(kind byte, id uint64) {
	a.sized(tokenEnvChange, func(a *answer) {
		number := binary.LittleEndian.AppendUint64([]byte{8}, id)
		a.byte(kind)
		if kind == changeBegin {
			a.byte(number...)
			a.byte(0)
		} else {
			a.byte(0)
			a.byte(number...)
		}
	})
}

func (a *answer) loginAck(version uint32) {
	a.sized(tokenLoginAck, func(a *answer) {
		a.byte(1) // T-SQL
		a.tokens = binary.BigEndian.AppendUint32(a.tokens, version)
		a.shortText(serverProgram)
		a.byte(serverVersion, 0, 0x10, 0)
	})
}

// fail reports an error, or what it is if it is none of SQL Server's.
func (a *answer) fail(err error) {
	told, ok := errors.AsType[refusal](err)
	if !ok {
		told = refuse(50000, "the stand-in failed: %s", err)
	}
	a.message(tokenError, told)
}

func (a *answer) message(token byte, told refusal) {
	a.sized(token, func(a *answer) {
		a.uint32(uint32(told.number))
		a.byte(max(told.state, 1), told.class)
		a.longText(told.message)
		a.shortText(serverName)
		a.shortText("")
		a.uint32(1)
	})
}

// end ends a statement.
func (a *answer) end(status int, rows int) {
	token := byte(tokenDone)
	if a.procedure {
		token = tokenDoneInProc
	}
	a.done(token, status, rows)
}

func (a *answer) done(token byte, status int, rows int) {
	a.byte(token)
	a.uint16(status)
	a.uint16(0)
	a.tokens = binary.LittleEndian.AppendUint64(a.tokens, uint64(rows))
}

// returned ends a procedure.
func (a *answer) returned(failed bool, outputs []parameter) {
	code, status := uint32(0), 0
	if failed {
		code, status = 1, doneError
	}
	a.byte(tokenReturnStatus)
	a.uint32(code)
	for i, output := range outputs {
		a.byte(tokenReturnValue)
		a.uint16(i)
		a.shortText(output.name)
		a.byte(1)
		a.uint32(0)
		a.uint16(0)
		a.valueType(output.value)
		a.value(output.value, output.value)
	}
	a.done(tokenDoneProc, status, 0)
}

// rows sends a result set. A column has the type of its first value that is not
// NULL.
func (a *answer) rows(columns []string, rows [][]any) {
	samples := make([]any, len(columns))
	for i := range columns {
		for _, row := range rows {
			if row[i] != nil {
				samples[i] = row[i]
				break
			}
		}
	}
	a.byte(tokenColumns)
	a.uint16(len(columns))
	for i, name := range columns {
		a.uint32(0)
		a.uint16(1) // nullable
		a.valueType(samples[i])
		a.shortText(name)
	}
	for _, row := range rows {
		a.byte(tokenRow)
		for i, value := range row {
			a.value(samples[i], value)
		}
	}
}

func (a *answer) valueType(sample any) {
	switch sample.(type) {
	case int64:
		a.byte(typeInt, 8)
	case bool:
		a.byte(typeBit, 1)
	case []byte:
		a.byte(typeVarBinary)
		a.uint16(8000)
	default:
		a.byte(typeNVarChar)
		a.uint16(8000)
		a.byte(0x09, 0x04, 0xD0, 0x00, 0x34) // Latin1_General_CI_AS
	}
}

func (a *answer) value(sample, value any) {
	switch value := value.(type) {
	case int64:
		a.byte(8)
		a.tokens = binary.LittleEndian.AppendUint64(a.tokens, uint64(value))
	case bool:
		a.byte(1, map[bool]byte{true: 1}[value])
	case []byte:
		a.uint16(len(value))
		a.byte(value...)
	case string:
		encoded := encodeText(value)
		a.uint16(len(encoded))
		a.byte(encoded...)
	default:
		a.null(sample)
	}
}

func (a *answer) null(sample any) {
	switch sample.(type) {
	case int64, bool:
		a.byte(0)
	default:
		a.uint16(0xFFFF)
	}
}
