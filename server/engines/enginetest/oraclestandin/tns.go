package oraclestandin

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
)

// Types of TNS packets.
const (
	packetConnect = 1
	packetAccept  = 2
	packetRefuse  = 4
	packetData    = 6
)

const (
	headerSize = 8
	// version is the highest of TNS in which a packet's length has two bytes.
	version = 314
	// unitSize is the largest packet of that version, in bytes.
	unitSize = 65535
	// endOfFile is the flag of a data packet after which its sender closes.
	endOfFile = 0x40
	// noNegotiation tells a client that the server offers no native encryption.
	noNegotiation = 4
)

var errMalformed = errors.New("malformed packet")

// wire carries TNS packets.
type wire struct{ conn net.Conn }

// read returns the type and the body of a packet.
func (w wire) read() (packetType byte, body []byte, err error) {
	header := make([]byte, headerSize)
	if _, err := io.ReadFull(w.conn, header); err != nil {
		return 0, nil, err
	}
	length := int(binary.BigEndian.Uint16(header))
	if length < headerSize {
		return 0, nil, errMalformed
	}
	body = make([]byte, length-headerSize)
	_, err = io.ReadFull(w.conn, body)
	return header[4], body, err
}

// write sends a packet.
func (w wire) write(packetType byte, body []byte) error {
	packet := make([]byte, headerSize, headerSize+len(body))
	binary.BigEndian.PutUint16(packet, uint16(headerSize+len(body)))
	packet[4] = packetType
	_, err := w.conn.Write(append(packet, body...))
	return err
}

// readMessage returns the content of a data packet. Clients send each message in
// one, as long as it fits; io.EOF is their farewell.
func (w wire) readMessage() ([]byte, error) {
	packetType, body, err := w.read()
	switch {
	case err != nil:
		return nil, err
	case packetType != packetData || len(body) < 2:
		return nil, fmt.Errorf("packet of type %d: %w", packetType, errMalformed)
	case binary.BigEndian.Uint16(body)&endOfFile != 0:
		return nil, io.EOF
	}
	return body[2:], nil
}

// writeMessage sends a message in as many data packets as it takes.
func (w wire) writeMessage(message []byte) error {
	const most = unitSize - headerSize - 2
	for len(message) > 0 {
		size := min(len(message), most)
		if err := w.write(packetData, append([]byte{0, 0}, message[:size]...)); err != nil {
			return err
		}
		message = message[size:]
	}
	return nil
}

var serviceName = regexp.MustCompile(`\(SERVICE_NAME=([^)]*)\)`)

// accept answers the connect packet. A client that asks for another service is
// refused as a listener does.
func (w wire) accept() error {
	packetType, body, err := w.read()
	if err != nil {
		return err
	}
	if packetType != packetConnect || len(body) < 62 {
		return errMalformed
	}
	descriptor, err := w.descriptor(body)
	if err != nil {
		return err
	}
	match := serviceName.FindStringSubmatch(descriptor)
	if match == nil || match[1] != Service {
		const stack = "(DESCRIPTION=(TMP=)(VSNNUM=202375680)(ERR=12514)(ERROR_STACK=(ERROR=(CODE=12514)(EMFI=4))))"
		answer := binary.BigEndian.AppendUint16([]byte{4, 0}, uint16(len(stack)))
		return errors.Join(w.write(packetRefuse, append(answer, stack...)), io.EOF)
	}
	answer := make([]byte, 24)
	binary.BigEndian.PutUint16(answer, version)
	binary.BigEndian.PutUint16(answer[4:], unitSize)
	binary.BigEndian.PutUint16(answer[6:], unitSize)
	binary.BigEndian.PutUint16(answer[8:], 1)
	binary.BigEndian.PutUint16(answer[12:], headerSize+uint16(len(answer)))
	answer[14] = noNegotiation
	return w.write(packetAccept, answer)
}

// descriptor returns what a client wants to connect to: it is in the connect
// packet, or in a data packet of its own if it is long.
func (w wire) descriptor(connect []byte) (string, error) {
	lowest := binary.BigEndian.Uint16(connect[2:])
	length, offset := int(binary.BigEndian.Uint16(connect[16:])), int(binary.BigEndian.Uint16(connect[18:]))-headerSize
	switch {
	case lowest > version:
		return "", errMalformed
	case offset == len(connect) && length > 0:
		long, err := w.readMessage()
		if err == nil && len(long) != length {
			err = errMalformed
		}
		return string(long), err
	case offset < 0 || offset+length != len(connect):
		return "", errMalformed
	}
	return string(connect[offset:]), nil
}
