package store

import (
	"net"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestConnectionsNoticeSilence(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	config, err := poolConfig("postgres://u:p@"+listener.Addr().String()+"/d", Options{})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := config.ConnConfig.DialFunc(t.Context(), "tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]time.Duration{}
	option := func(name string, level, option int, unit time.Duration) {
		t.Helper()
		if failed := raw.Control(func(fd uintptr) {
			value, err := unix.GetsockoptInt(int(fd), level, option)
			if err != nil {
				t.Error(err)
			}
			got[name] = time.Duration(value) * unit
		}); failed != nil {
			t.Fatal(failed)
		}
	}
	option("unacknowledged", unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, time.Millisecond)
	option("idle", unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, time.Second)
	option("interval", unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, time.Second)
	option("probes", unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 1)
	option("keepalive", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
	want := map[string]time.Duration{"unacknowledged": 30 * time.Second, "idle": 10 * time.Second, "interval": 5 * time.Second, "probes": 4, "keepalive": 1}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("options of the socket differ (-want +got):\n%s", diff)
	}
}
