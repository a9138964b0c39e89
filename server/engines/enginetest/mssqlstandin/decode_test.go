package mssqlstandin

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"
)

func TestMessagesSurviveBeingCutIntoPackets(t *testing.T) {
	for _, size := range []int{0, 1, packetSize - headerSize, packetSize - headerSize + 1, 3 * packetSize} {
		var wire bytes.Buffer
		body := bytes.Repeat([]byte{7}, size)
		if err := writeMessage(&wire, kindBatch, 51, body); err != nil {
			t.Fatal(err)
		}
		if read, err := readMessage(&wire); err != nil || read.kind != kindBatch || !bytes.Equal(read.body, body) {
			t.Errorf("%d bytes came back as %d, %v", size, len(read.body), err)
		}
	}
}

func TestAPasswordOfLOGIN7IsRevealed(t *testing.T) {
	// "a" is 0x61: its halves swapped 0x16, XORed with 0xA5 0xB3; 0x00 becomes 0xA5.
	obscured := []byte{0xB3, 0xA5, 0x83, 0xA5}
	if plain := revealed(obscured); !bytes.Equal(plain, encodeText("ab")) {
		t.Errorf("got %x", plain)
	}
}

func TestALOGIN7WithTextsBeyondItIsRefused(t *testing.T) {
	body := make([]byte, loginHead)
	binary.LittleEndian.PutUint32(body, loginHead)
	binary.LittleEndian.PutUint32(body[4:], tds74)
	if _, err := decodeLogin(body); err != nil {
		t.Fatalf("an empty one: %v", err)
	}
	for _, at := range []int{36, 40, 44, 48, 68} {
		broken := slices.Clone(body)
		binary.LittleEndian.PutUint16(broken[at:], loginHead)
		binary.LittleEndian.PutUint16(broken[at+2:], 1)
		if _, err := decodeLogin(broken); err == nil {
			t.Errorf("the text at %d was read from beyond the message", at)
		}
	}
}

// FuzzReadMessage looks for bytes that make any of the decoders panic.
func FuzzReadMessage(f *testing.F) {
	for _, kind := range []kind{kindPrelogin, kindLogin, kindBatch, kindRPC, kindTransaction, kindAttention} {
		var wire bytes.Buffer
		_ = writeMessage(&wire, kind, 0, seeds[kind])
		f.Add(wire.Bytes())
	}
	f.Fuzz(func(t *testing.T, sent []byte) {
		read, err := readMessage(bytes.NewReader(sent))
		if err != nil {
			return
		}
		_, _ = decodePrelogin(read.body)
		_, _ = decodeLogin(read.body)
		_, _, _ = decodeTransaction(read.body)
		if _, called, err := decodeProcedure(read.body); err == nil {
			_, _, _ = bind(called.name, called.parameters)
		}
		if _, text, err := decodeBatch(read.body); err == nil {
			_, _ = parse(text)
		}
	})
}

// noTransaction is an ALL_HEADERS without a transaction.
const noTransaction = "\x16\x00\x00\x00\x12\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00"

// seeds are messages that are right.
var seeds = map[kind][]byte{
	kindPrelogin:    encodePrelogin(map[byte][]byte{optionVersion: make([]byte, 6), optionEncryption: {encryptOn}}),
	kindLogin:       append([]byte{loginHead, 0, 0, 0, 4, 0, 0, 0x74}, make([]byte, loginHead-8)...),
	kindBatch:       append([]byte(noTransaction), encodeText("SELECT name FROM sys.schemas WHERE principal_id = 1 OR NOT name IS NULL")...),
	kindTransaction: []byte(noTransaction + "\x07\x00\x00\x00"),
	kindRPC: []byte(noTransaction + "\xff\xff\x0a\x00\x00\x00" +
		"\x00\x00\xe7\x10\x00\x00\x00\x00\x00\x00\x04\x00S\x00E\x00" + "\x00\x01\x26\x08\x04\x01\x00\x00\x00"),
}

// FuzzParse looks for texts that make the parser panic or run for ever.
func FuzzParse(f *testing.F) {
	f.Add("CREATE LOGIN [a]]b] WITH PASSWORD = N'it''s', CHECK_POLICY = OFF; USE [x]; DROP USER IF EXISTS [a]")
	f.Add("IF NOT EXISTS (SELECT name FROM sys.schemas WHERE name IN ('a', @p1) AND (1 = 1)) KILL 51 -- end")
	f.Add("/* a /* b */ */ GRANT SELECT, INSERT ON SCHEMA::dbo TO [x] WITH GRANT OPTION")
	f.Fuzz(func(t *testing.T, text string) {
		statements, err := parse(text)
		if err != nil && statements != nil {
			t.Errorf("%q was parsed in part", text)
		}
	})
}
