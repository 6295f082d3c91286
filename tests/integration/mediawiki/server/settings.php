<?php
/* Appended to the generated LocalSettings.php: makes a stock MediaWiki answer as Wikipedia does, inside one scratch folder. */
if ( !defined( 'MEDIAWIKI' ) ) { exit; }
$needledropWork = getenv( 'WIKI_WORK' );
$needledropEdge = json_decode( (string)@file_get_contents( "$needledropWork/edge.json" ), true ) ?: [];

// Wikipedia's addresses; everything that is written goes to the scratch folder.
$wgServer = 'http://127.0.0.1:' . getenv( 'WIKI_PORT' );
$wgScriptPath = '/w';
$wgArticlePath = '/wiki/$1';
$wgUsePathInfo = true;
$wgSitename = 'Wikipedia';
$wgUploadDirectory = "$needledropWork/images";
$wgUploadPath = "$wgServer/wikipedia/en";
$wgCacheDirectory = "$needledropWork/cache";
$wgTmpDirectory = "$needledropWork/tmp";
$wgMainCacheType = CACHE_ACCEL;
$wgParserCacheType = CACHE_DB;
$wgSessionCacheType = CACHE_DB;
$wgInvalidateCacheOnLocalSettingsChange = false;

// The database is thrown away, so it need not be synced to disk.
$wgDBservers = [ [ 'type' => 'sqlite', 'dbname' => $wgDBname, 'dbDirectory' => $wgSQLiteDataDir, 'tablePrefix' => '',
	'host' => 'localhost', 'user' => '', 'password' => '', 'load' => 1, 'flags' => DBO_DEFAULT,
	'variables' => [ 'synchronous' => 'OFF' ] ] ];
foreach ( [ &$wgObjectCaches[CACHE_DB]['server'], &$wgJobTypeConf['default']['server'] ] as &$needledropServer ) {
	$needledropServer['variables']['synchronous'] = 'OFF';
}
unset( $needledropServer );

// Pictures: scaled on first fetch, at Wikimedia's standard widths, free or not as their page says.
$wgEnableUploads = true;
$wgUseImageMagick = false;
$wgGenerateThumbnailOnParse = false;
$wgMaxImageArea = 5e7;
$wgFileExtensions = [ 'png', 'jpg', 'jpeg', 'webp' ];
$wgAutoloadClasses['SteppedFile'] = $wgAutoloadClasses['SteppedRepo'] = __DIR__ . '/SteppedFile.php';
$wgLocalFileRepo = [ 'class' => SteppedRepo::class, 'name' => 'local', 'directory' => $wgUploadDirectory,
	'url' => $wgUploadPath, 'hashLevels' => 2, 'transformVia404' => true, 'deletedHashLevels' => 3,
	'scriptDirUrl' => '/w', 'favicon' => '' ];
$wgHooks['GetExtendedMetadata'][] = static function ( &$meta, $file ) {
	if ( stripos( (string)$file->getDescriptionText(), 'Non-free' ) !== false ) {
		$meta['NonFree'] = [ 'value' => 'true', 'source' => 'commons-desc-page' ];
	}
};

$wgRCWatchCategoryMembership = true;
$wgRCMaxAge = 30 * 86400;
$wgJobRunRate = 0;
$wgRateLimits = [];
$wgPingback = false;
$wgEnableEmail = false;
$wgShellRestrictionMethod = false;
$wgShowExceptionDetails = true;
$wgRightsUrl = 'https://creativecommons.org/licenses/by-sa/4.0/deed.en';
$wgRightsText = 'Creative Commons Attribution-Share Alike 4.0';

// What tests ask for: a small answer limit forces continuation, a lag trips maxlag (a one-server wiki reports -1).
if ( isset( $needledropEdge['largest_answer_bytes'] ) ) {
	$wgAPIMaxResultSize = (int)$needledropEdge['largest_answer_bytes'];
}
$wgShowHostnames = true;
$wgHooks['ApiMaxLagInfo'][] = static function ( &$info ) use ( $needledropEdge ) {
	$info = [ 'host' => 'replica', 'lag' => (float)( $needledropEdge['lag_seconds'] ?? 0 ), 'type' => 'db' ];
};
