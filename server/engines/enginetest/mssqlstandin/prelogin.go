package mssqlstandin

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"net"
	"slices"
	"time"
)

// Options of a PRELOGIN: MS-TDS 2.2.6.5.
const (
	optionVersion    = 0x00
	optionEncryption = 0x01
	optionInstance   = 0x02
	optionThread     = 0x03
	optionMARS       = 0x04
	optionEnd        = 0xFF
)

// What a side says about encryption.
const (
	encryptOff          = 0x00 // the login alone
	encryptOn           = 0x01
	encryptNotSupported = 0x02
)

// tlsRecord begins the connection of a client that asks for TDS 8.0, encrypted
// from the first byte on.
const tlsRecord = 0x16

// decodePrelogin returns the options of a PRELOGIN.
func decodePrelogin(body []byte) (map[byte][]byte, error) {
	options := map[byte][]byte{}
	for at := 0; ; at += 5 {
		if at >= len(body) {
			return nil, errors.New("a PRELOGIN without end")
		}
		if body[at] == optionEnd {
			break
		}
		if at+5 > len(body) {
			return nil, errors.New("half an option in a PRELOGIN")
		}
		offset := int(binary.BigEndian.Uint16(body[at+1:]))
		length := int(binary.BigEndian.Uint16(body[at+3:]))
		if offset+length > len(body) {
			return nil, fmt.Errorf("option %d of a PRELOGIN lies beyond it", body[at])
		}
		options[body[at]] = body[offset : offset+length]
	}
	if len(options[optionVersion]) != 6 || len(options[optionEncryption]) != 1 {
		return nil, errors.New("a PRELOGIN without version or encryption")
	}
	return options, nil
}

func encodePrelogin(options map[byte][]byte) []byte {
	var head, data []byte
	offset := 5*len(options) + 1
	for _, option := range slices.Sorted(maps.Keys(options)) {
		head = append(head, option)
		head = binary.BigEndian.AppendUint16(head, uint16(offset+len(data)))
		head = binary.BigEndian.AppendUint16(head, uint16(len(options[option])))
		data = append(data, options[option]...)
	}
	return append(append(head, optionEnd), data...)
}

// transport is a connection once it is agreed how it is encrypted.
type transport struct {
	login net.Conn // for LOGIN7
	rest  net.Conn // for all that follows
}

// negotiate takes the client's PRELOGIN and makes the connection as secure as it
// asks for.
func (s *Server) negotiate(conn net.Conn) (transport, error) {
	buffered := &bufferedConn{conn, bufio.NewReader(conn)}
	first, err := buffered.reader.Peek(1)
	if err != nil {
		return transport{}, err
	}
	if first[0] == tlsRecord {
		strict := tls.Server(buffered, &tls.Config{Certificates: []tls.Certificate{s.certificate}, NextProtos: []string{"tds/8.0"}})
		_, err := s.prelogin(strict, encryptNotSupported)
		return transport{strict, strict}, err
	}
	wanted, err := s.prelogin(buffered, encryptOff)
	if err != nil || wanted == encryptNotSupported {
		return transport{buffered, buffered}, err
	}
	wrapped := &wrappedConn{Conn: buffered}
	encrypted := tls.Server(wrapped, &tls.Config{
		Certificates: []tls.Certificate{s.certificate},
		MaxVersion:   tls.VersionTLS12, // 1.3 goes on after the handshake, where packets are wrapped no more
	})
	if err := encrypted.Handshake(); err != nil {
		return transport{}, err
	}
	wrapped.done = true
	if wanted == encryptOff {
		return transport{encrypted, buffered}, nil
	}
	return transport{encrypted, encrypted}, nil
}

// prelogin answers a PRELOGIN and returns how the client wants to encrypt.
func (s *Server) prelogin(conn net.Conn, offered byte) (wanted byte, err error) {
	asked, err := readMessage(conn)
	if err != nil {
		return 0, err
	}
	if asked.kind != kindPrelogin {
		return 0, fmt.Errorf("a message of type %#x before PRELOGIN", asked.kind)
	}
	options, err := decodePrelogin(asked.body)
	if err != nil {
		return 0, err
	}
	wanted = options[optionEncryption][0]
	if offered == encryptOff && wanted != encryptOff {
		offered = encryptOn
		if wanted == encryptNotSupported {
			offered = encryptNotSupported
		}
	}
	return wanted, writeMessage(conn, kindResponse, 0, encodePrelogin(map[byte][]byte{
		optionVersion:    {serverVersion, 0, 0x10, 0x00, 0, 0},
		optionEncryption: {offered},
		optionInstance:   {0},
		optionThread:     {},
		optionMARS:       {0},
	}))
}

// bufferedConn is a connection whose first byte was looked at.
type bufferedConn struct {
	net.Conn
	reader *bufio.Reader
}

func (b *bufferedConn) Read(into []byte) (int, error) { return b.reader.Read(into) }

// wrappedConn carries a TLS handshake in PRELOGIN packets, and what follows bare.
type wrappedConn struct {
	net.Conn
	done   bool
	unread bytes.Buffer
}

func (w *wrappedConn) Read(into []byte) (int, error) {
	if w.unread.Len() == 0 {
		if w.done {
			return w.Conn.Read(into)
		}
		packet, err := readMessage(w.Conn)
		if err != nil {
			return 0, err
		}
		if packet.kind != kindPrelogin {
			return 0, fmt.Errorf("a message of type %#x in a TLS handshake", packet.kind)
		}
		w.unread.Write(packet.body)
	}
	return w.unread.Read(into)
}

func (w *wrappedConn) Write(from []byte) (int, error) {
	if w.done {
		return w.Conn.Write(from)
	}
	return len(from), writeMessage(w.Conn, kindPrelogin, 0, from)
}

// newCertificate returns a certificate for loopback that signs itself.
func newCertificate() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "mssqlstandin"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		IsCA:                  true,
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
		DNSNames:              []string{"localhost"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

// CertificatePEM returns the certificate that clients may trust.
func (s *Server) CertificatePEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.certificate.Certificate[0]})
}
