package main

import (
	"flag"
	"log"

	"cloud.google.com/go/pubsub/v2/pstest"
)

func main() {
	port := flag.Int("port", 0, "where it listens")
	flag.Parse()
	server := pstest.NewServerWithPort(*port)
	defer server.Close()
	log.Printf("listening on %s", server.Addr)
	select {}
}
