package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/novatech/securevault/server/config"
	"github.com/novatech/securevault/server/engines/enginetest/certtest"
)

func TestFilesForOtherNodesThatMakeNoSenseAreNamed(t *testing.T) {
	authority, err := certtest.New("nodes")
	if err != nil {
		t.Fatal(err)
	}
	own, err := authority.Write(t.TempDir(), "node")
	if err != nil {
		t.Fatal(err)
	}
	gone := filepath.Join(t.TempDir(), "gone")
	for name, c := range map[string]struct {
		file config.File
		want string
	}{
		"a CA that is not there":          {config.File{ClusterCAFile: gone}, "reading cluster_ca_file"},
		"a CA that is a key":              {config.File{ClusterCAFile: own.Key}, "holds no certificate; write PEM"},
		"a certificate without key":       {config.File{ClusterCertFile: own.Certificate}, "set both, or none"},
		"a key without certificate":       {config.File{ClusterKeyFile: own.Key}, "set both, or none"},
		"a certificate that is not there": {config.File{ClusterCertFile: gone, ClusterKeyFile: own.Key}, "reading cluster_cert_file"},
	} {
		if _, err := newPeers(&c.file); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %q", name, err, c.want)
		}
	}
	if _, err := newPeers(&config.File{ClusterCAFile: own.Authority, ClusterCertFile: own.Certificate, ClusterKeyFile: own.Key}); err != nil {
		t.Error(err)
	}
}
