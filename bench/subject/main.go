// Command subject runs what Sluice is compared with: httputil.ReverseProxy, and
// a handler on the typed client of the AWS SDK.
package main

import (
	"flag"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"
)

func main() {
	kind := flag.String("kind", "reverse", "reverse | sdk")
	listen := flag.String("listen", "127.0.0.1:8100", "address to listen at")
	upstream := flag.String("upstream", "127.0.0.1:8200", "address to pass requests on to")
	flag.Parse()
	target := &url.URL{Scheme: "http", Host: *upstream}
	pool := &http.Transport{
		MaxIdleConns: 4096, MaxIdleConnsPerHost: 4096, IdleConnTimeout: time.Minute, DisableCompression: true,
	}
	var handler http.Handler
	switch *kind {
	case "reverse":
		proxy := httputil.NewSingleHostReverseProxy(target)
		proxy.Transport, proxy.FlushInterval = pool, -1
		handler = proxy
	case "sdk":
		handler = newTyped(target.String(), pool)
	default:
		log.Fatalf("unknown kind %q", *kind)
	}
	server := &http.Server{Addr: *listen, Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(server.ListenAndServe())
}
