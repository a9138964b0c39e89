package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/novatech/securevault/server/config"
)

const (
	// idlePeerConnections is how many connections to the active server a standby
	// keeps for the next requests.
	idlePeerConnections = 64
	// peerPatience is longer than a request may take by default, so that the
	// active server's own answer arrives.
	peerPatience = 2 * time.Minute
	// peerDialTimeout is short: a server that has died is told of quickly.
	peerDialTimeout = 3 * time.Second
)

// newPeers returns what reaches the other servers of a cluster.
func newPeers(f *config.File) (http.RoundTripper, error) {
	peers := http.DefaultTransport.(*http.Transport).Clone()
	peers.Proxy = nil // the nodes are reached directly, or not at all
	peers.MaxIdleConnsPerHost = idlePeerConnections
	peers.ResponseHeaderTimeout = peerPatience
	peers.DialContext = (&net.Dialer{Timeout: peerDialTimeout}).DialContext
	peers.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	var err error
	if f.ClusterCAFile != "" {
		if peers.TLSClientConfig.RootCAs, err = readPool(f.ClusterCAFile); err != nil {
			return nil, err
		}
	}
	if f.ClusterCertFile+f.ClusterKeyFile == "" {
		return peers, nil
	}
	if f.ClusterCertFile == "" || f.ClusterKeyFile == "" {
		return nil, errors.New("cluster_cert_file and cluster_key_file belong to each other: set both, or none")
	}
	show := func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { // read each time: it may be replaced
		own, err := tls.LoadX509KeyPair(f.ClusterCertFile, f.ClusterKeyFile)
		if err != nil {
			return nil, fmt.Errorf("reading cluster_cert_file %q and cluster_key_file %q: %w", f.ClusterCertFile, f.ClusterKeyFile, err)
		}
		return &own, nil
	}
	peers.TLSClientConfig.GetClientCertificate = show
	_, err = show(nil)
	return peers, err
}

func readPool(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading cluster_ca_file: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("cluster_ca_file %q holds no certificate; write PEM", file)
	}
	return pool, nil
}
