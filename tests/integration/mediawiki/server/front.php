<?php
/* A router before MediaWiki: php -S 127.0.0.1:PORT front.php. It logs one line per request in requests.jsonl, and reads
 * edge.json for each request, which sets faults:
 *   faults       one per API request, then none: a status (429 and 503 with Retry-After), "html", "cut", "hang"
 *   file_faults  the same for images, or "redirect"
 *   retry_after  seconds that Retry-After asks for
 *   longest_url  414 for a longer address
 * As on Wikipedia, a User-Agent without a contact is always refused with 403. */
$work = getenv( 'WIKI_WORK' );
$home = getenv( 'WIKI_HOME' );
$path = rawurldecode( (string)parse_url( $_SERVER['REQUEST_URI'], PHP_URL_PATH ) );
register_shutdown_function( static function () use ( $work ) {
	$line = [ 'status' => http_response_code(), 'method' => $_SERVER['REQUEST_METHOD'], 'uri' => $_SERVER['REQUEST_URI'],
		'post' => $_POST ?: null, 'user_agent' => $_SERVER['HTTP_USER_AGENT'] ?? '',
		'encoding' => $_SERVER['HTTP_ACCEPT_ENCODING'] ?? '', 'time' => $_SERVER['REQUEST_TIME_FLOAT'] ];
	$json = json_encode( $line, JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE | JSON_INVALID_UTF8_SUBSTITUTE );
	file_put_contents( "$work/requests.jsonl", "$json\n", FILE_APPEND | LOCK_EX );
} );

function deny( int $status, string $text, ?int $wait = null ): void {
	http_response_code( $status );
	header( 'Content-Type: text/plain; charset=utf-8' );
	if ( $wait !== null ) { header( "Retry-After: $wait" ); }
	ob_start(); // flushed after the shutdown function: the log has the line before the client has its answer
	echo $text, "\n";
}

/** The next fault of a list in edge.json, taken off it under a lock; null if there is none. */
function next_fault( string $file, string $list ) {
	$handle = fopen( $file, 'c+' );
	flock( $handle, LOCK_EX );
	$edge = json_decode( (string)stream_get_contents( $handle ), true ) ?: [];
	$fault = empty( $edge[$list] ) ? null : array_shift( $edge[$list] );
	if ( $fault !== null ) {
		rewind( $handle );
		ftruncate( $handle, 0 );
		fwrite( $handle, json_encode( $edge ) );
	}
	fclose( $handle );
	return $fault;
}

$edge = json_decode( (string)@file_get_contents( "$work/edge.json" ), true ) ?: [];
if ( !empty( $edge['longest_url'] ) && strlen( $_SERVER['REQUEST_URI'] ) > $edge['longest_url'] ) {
	deny( 414, 'URI Too Long' );
	return true;
}
if ( !preg_match( '#https?://|@|User:#', $_SERVER['HTTP_USER_AGENT'] ?? '' ) ) {
	deny( 403, 'Please set a user-agent and respect our robot policy' );
	return true;
}
$isFile = str_starts_with( $path, '/wikipedia/en/' );
$list = $path === '/w/api.php' ? 'faults' : ( $isFile ? 'file_faults' : '' );
$fault = $list !== '' && !empty( $edge[$list] ) ? next_fault( "$work/edge.json", $list ) : null;
if ( is_int( $fault ) ) {
	deny( $fault, 'upstream error', in_array( $fault, [ 429, 503 ] ) ? ( $edge['retry_after'] ?? 0 ) : null );
	return true;
} elseif ( $fault === 'html' ) {
	header( 'Content-Type: text/html' );
	echo '<!DOCTYPE html><title>Wikimedia Error</title>';
	return true;
} elseif ( $fault === 'cut' ) {
	header( 'Content-Length: 4000' );
	echo '{"batchcomplete":true,"query":{"pages":[{"pageid":1,"ti';
	return true;
} elseif ( $fault === 'redirect' ) {
	header( 'Location: http://203.0.113.9/poster.jpg', true, 302 );
	return true;
} elseif ( $fault === 'hang' ) {
	sleep( 3 );
}

if ( preg_match( '#^/w/(api|index|thumb)\.php$#', $path, $match ) ) {
	$entry = "{$match[1]}.php";
} elseif ( str_starts_with( $path, '/wiki/' ) ) {
	$entry = 'index.php';
} elseif ( $isFile ) {
	$file = realpath( "$work/images/" . substr( $path, strlen( '/wikipedia/en/' ) ) );
	if ( $file && is_file( $file ) && str_starts_with( $file, realpath( "$work/images" ) . '/' ) ) {
		header( 'Content-Type: image/jpeg' );
		header( 'Content-Length: ' . filesize( $file ) );
		readfile( $file );
		return true;
	}
	$entry = str_starts_with( $path, '/wikipedia/en/thumb/' ) ? 'thumb_handler.php' : null;
} else {
	$entry = null;
}
if ( $entry === null ) {
	deny( 404, 'Not found' );
	return true;
}
$_SERVER['SCRIPT_NAME'] = $_SERVER['PHP_SELF'] = "/w/$entry";
$_SERVER['SCRIPT_FILENAME'] = "$home/$entry";
chdir( $home );
require "$home/$entry";
return true;
