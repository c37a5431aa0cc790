BEGIN TRANSACTION;
CREATE TABLE "_sqlite_migrations" (
   "id" INTEGER PRIMARY KEY,
   "migration_set" TEXT,
   "name" TEXT,
   "applied_at" TEXT
);
INSERT INTO "_sqlite_migrations" VALUES(1,'catalogue','first_tables','2026-11-30 21:34:15.243091+00:00');
INSERT INTO "_sqlite_migrations" VALUES(2,'catalogue','other_peoples_votes','2026-11-30 21:34:15.244356+00:00');
INSERT INTO "_sqlite_migrations" VALUES(3,'catalogue','views_by_day','2026-11-30 21:34:15.244924+00:00');
INSERT INTO "_sqlite_migrations" VALUES(4,'catalogue','what_sources_say','2026-11-30 21:34:15.261907+00:00');
INSERT INTO "_sqlite_migrations" VALUES(5,'catalogue','order_of_opinions','2026-11-30 21:34:15.267238+00:00');
INSERT INTO "_sqlite_migrations" VALUES(6,'catalogue','clocks_that_begin_late','2026-11-30 21:34:15.268249+00:00');
INSERT INTO "_sqlite_migrations" VALUES(7,'catalogue','days_and_numbers','2026-11-30 21:34:15.275105+00:00');
CREATE TABLE all_votes (
        one INTEGER PRIMARY KEY CHECK (one = 1), votes INTEGER NOT NULL, total INTEGER NOT NULL
    ) STRICT;
INSERT INTO "all_votes" VALUES(1,5,19);
CREATE TABLE event (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL,
        video INTEGER REFERENCES video (id), value TEXT NOT NULL, at INTEGER NOT NULL,
        source TEXT NOT NULL
    , told_us INTEGER) STRICT;
INSERT INTO "event" VALUES(1,'event-001','VideoFound',1,'{"root":"","path":"one.mp4","size_bytes":1000,"mtime_ns":1779995000000000000,"fingerprint":"print-000","slug":"one","title":"one","added_at":1779999900,"container":"mp4","duration_s":12.5,"width_px":640,"height_px":360,"fps":25.0,"video_codec":"h264","audio_codec":"aac","codecs":"avc1.64001e,mp4a.40.2","pixel_format":"yuv420p","fast_start":true,"text_streams":0,"start_s":0.0,"probed":4,"need":"plays","companions":"aa11","recorded_at":1779991000,"recorded_offset_min":0,"folder_tags":["films"],"details":{"nfo":{"title":"The first","tags":["sea"],"description":"It *is*."}},"read":["own","nfo","ytdlp","json","embedded","name"]}',1780000001,'scan',NULL);
INSERT INTO "event" VALUES(2,'event-002','VideoFound',2,'{"root":"","path":"films/two.mkv","size_bytes":1001,"mtime_ns":1779995000000000000,"fingerprint":"print-001","slug":"two","title":"two","added_at":1779999901,"container":"mp4","duration_s":12.5,"width_px":640,"height_px":360,"fps":25.0,"video_codec":"h264","audio_codec":"aac","codecs":"avc1.64001e,mp4a.40.2","pixel_format":"yuv420p","fast_start":true,"text_streams":2,"start_s":0.0,"probed":4,"need":"remux","companions":"","recorded_at":1779991000,"recorded_offset_min":0,"folder_tags":[],"details":{},"read":["own","nfo","ytdlp","json","embedded","name"]}',1780000002,'scan',NULL);
INSERT INTO "event" VALUES(3,'event-003','VideoFound',3,'{"root":"","path":"films/three.avi","size_bytes":1002,"mtime_ns":1779995000000000000,"fingerprint":"print-002","slug":"three","title":"three","added_at":1779999902,"container":"mp4","duration_s":12.5,"width_px":640,"height_px":360,"fps":25.0,"video_codec":"h264","audio_codec":"aac","codecs":"avc1.64001e,mp4a.40.2","pixel_format":"yuv420p","fast_start":true,"text_streams":0,"start_s":0.0,"probed":4,"need":"transcode","companions":"","recorded_at":1779991000,"recorded_offset_min":0,"folder_tags":[],"details":{},"read":["own","nfo","ytdlp","json","embedded","name"]}',1780000003,'scan',NULL);
INSERT INTO "event" VALUES(4,'event-004','VideoFound',4,'{"root":"","path":"four.mp4","size_bytes":1003,"mtime_ns":1779995000000000000,"fingerprint":"print-003","slug":"four","title":"four","added_at":1779999903,"container":"mp4","duration_s":12.5,"width_px":640,"height_px":360,"fps":25.0,"video_codec":"h264","audio_codec":"aac","codecs":"avc1.64001e,mp4a.40.2","pixel_format":"yuv420p","fast_start":true,"text_streams":0,"start_s":0.0,"probed":4,"need":"plays","companions":"bb22","recorded_at":1779991000,"recorded_offset_min":0,"folder_tags":[],"details":{},"read":["own","nfo","ytdlp","json","embedded","name"]}',1780000004,'scan',NULL);
INSERT INTO "event" VALUES(5,'event-005','VideoFound',5,'{"root":"","path":"copy of one.mp4","size_bytes":1004,"mtime_ns":1779995000000000000,"fingerprint":"print-001","slug":"copy-of-one","title":"copy of one","added_at":1779999904,"container":"mp4","duration_s":12.5,"width_px":640,"height_px":360,"fps":25.0,"video_codec":"h264","audio_codec":"aac","codecs":"avc1.64001e,mp4a.40.2","pixel_format":"yuv420p","fast_start":true,"text_streams":0,"start_s":0.0,"probed":4,"need":"plays","companions":"","recorded_at":1779991000,"recorded_offset_min":0,"folder_tags":[],"details":{},"read":["own","nfo","ytdlp","json","embedded","name"]}',1780000005,'scan',NULL);
INSERT INTO "event" VALUES(6,'event-006','VideoFound',6,'{"root":"","path":"films/gone.mp4","size_bytes":1005,"mtime_ns":1779995000000000000,"fingerprint":"print-005","slug":"gone","title":"gone","added_at":1779999905,"container":"mp4","duration_s":12.5,"width_px":640,"height_px":360,"fps":25.0,"video_codec":"h264","audio_codec":"aac","codecs":"avc1.64001e,mp4a.40.2","pixel_format":"yuv420p","fast_start":true,"text_streams":0,"start_s":0.0,"probed":4,"need":"plays","companions":"","recorded_at":1779991000,"recorded_offset_min":0,"folder_tags":[],"details":{},"read":["own","nfo","ytdlp","json","embedded","name"]}',1780000006,'scan',NULL);
INSERT INTO "event" VALUES(7,'event-007','VideoFound',7,'{"root":"","path":"films/forgotten.mp4","size_bytes":1006,"mtime_ns":1779995000000000000,"fingerprint":"print-006","slug":"forgotten","title":"forgotten","added_at":1779999906,"container":"mp4","duration_s":12.5,"width_px":640,"height_px":360,"fps":25.0,"video_codec":"h264","audio_codec":"aac","codecs":"avc1.64001e,mp4a.40.2","pixel_format":"yuv420p","fast_start":true,"text_streams":0,"start_s":0.0,"probed":4,"need":"plays","companions":"","recorded_at":1779991000,"recorded_offset_min":0,"folder_tags":[],"details":{},"read":["own","nfo","ytdlp","json","embedded","name"]}',1780000007,'scan',NULL);
INSERT INTO "event" VALUES(8,'event-008','VideoFound',8,'{"root":"","path":"odd\udcff.mp4","size_bytes":1007,"mtime_ns":1779995000000000000,"fingerprint":"print-007","slug":"odd","title":"odd","added_at":1779999907,"container":"mp4","duration_s":12.5,"width_px":640,"height_px":360,"fps":25.0,"video_codec":"h264","audio_codec":"aac","codecs":"avc1.64001e,mp4a.40.2","pixel_format":"yuv420p","fast_start":true,"text_streams":1,"start_s":0.0,"probed":4,"need":"plays","companions":"","recorded_at":1779991000,"recorded_offset_min":0,"folder_tags":[],"details":{},"read":["own","nfo","ytdlp","json","embedded","name"]}',1780000008,'scan',NULL);
INSERT INTO "event" VALUES(9,'event-009','VideoFound',9,'{"root":"","path":"late.mp4","size_bytes":1008,"mtime_ns":1779995000000000000,"fingerprint":"print-008","slug":"late","title":"late","added_at":1779999908,"container":"mp4","duration_s":12.5,"width_px":640,"height_px":360,"fps":25.0,"video_codec":"h264","audio_codec":"aac","codecs":"avc1.64001e,mp4a.40.2","pixel_format":"yuv420p","fast_start":true,"text_streams":0,"start_s":0.0,"probed":4,"need":"plays","companions":"","recorded_at":1779991000,"recorded_offset_min":0,"folder_tags":[],"details":{},"read":["own","nfo","ytdlp","json","embedded","name"]}',1780000009,'scan',NULL);
INSERT INTO "event" VALUES(10,'event-010','VideoFound',10,'{"root":"","path":"films/again.mp4","size_bytes":1009,"mtime_ns":1779995000000000000,"fingerprint":"print-009","slug":"again","title":"again","added_at":1779999909,"container":"mp4","duration_s":12.5,"width_px":640,"height_px":360,"fps":25.0,"video_codec":"h264","audio_codec":"aac","codecs":"avc1.64001e,mp4a.40.2","pixel_format":"yuv420p","fast_start":true,"text_streams":1,"start_s":0.0,"probed":4,"need":"plays","companions":"cc33","recorded_at":1779991000,"recorded_offset_min":0,"folder_tags":[],"details":{},"read":["own","nfo","ytdlp","json","embedded","name"]}',1780000010,'scan',NULL);
INSERT INTO "event" VALUES(11,'event-011','PosterMade',1,'{"poster":{"digest":"d1","widths_px":[320,640],"width_px":640,"height_px":360,"colour":"#102030"}}',1780000011,'scan',NULL);
INSERT INTO "event" VALUES(12,'event-012','PosterMade',2,'{"poster":{"digest":"d2","widths_px":[320,640],"width_px":640,"height_px":360,"colour":"#102030"}}',1780000012,'scan',NULL);
INSERT INTO "event" VALUES(13,'event-013','PosterFailed',3,'{"reason":"the decoder crashed (signal 11)"}',1780000013,'scan',NULL);
INSERT INTO "event" VALUES(14,'event-014','BoardMade',1,'{"storyboard":{"digest":"s1","count":12,"columns":4,"tile_width_px":160,"tile_height_px":90}}',1780000014,'backlog',NULL);
INSERT INTO "event" VALUES(15,'event-015','BoardMade',2,'{"storyboard":{"digest":"s2","count":12,"columns":4,"tile_width_px":160,"tile_height_px":90},"tracks":[["en","English",false,false,"t1"]]}',1780000015,'backlog',NULL);
INSERT INTO "event" VALUES(16,'event-016','BoardMade',8,'{"tracks":[["de","Deutsch",false,false,"t2"]]}',1780000016,'backlog',NULL);
INSERT INTO "event" VALUES(17,'event-017','BoardFailed',3,'{"reason":"took longer than 30 s"}',1780000017,'backlog',NULL);
INSERT INTO "event" VALUES(18,'event-018','BoardMade',10,'{"storyboard":{"digest":"s3","count":12,"columns":4,"tile_width_px":160,"tile_height_px":90}}',1780000018,'backlog',NULL);
INSERT INTO "event" VALUES(19,'event-019','BoardMade',4,'{"storyboard":null}',1780000019,'backlog',NULL);
INSERT INTO "event" VALUES(20,'event-020','RenditionMade',2,'{"rendition":{"digest":"r1","size_bytes":77,"made_by":"remux-1","container":"mp4","codecs":"avc1.64001e,mp4a.40.2","is_hls":false}}',1780000020,'backlog',NULL);
INSERT INTO "event" VALUES(21,'event-021','RenditionFailed',3,'{"reason":"no decoder"}',1780000021,'backlog',NULL);
INSERT INTO "event" VALUES(22,'event-022','RenditionMade',10,'{"rendition":{"digest":"r2","size_bytes":78,"made_by":"remux-1","container":"mp4","codecs":"","is_hls":true}}',1780000022,'backlog',NULL);
INSERT INTO "event" VALUES(23,'event-023','RenditionDropped',10,'{}',1780000023,'owner',NULL);
INSERT INTO "event" VALUES(24,'event-024','BoardDropped',4,'{}',1780000024,'backlog',NULL);
INSERT INTO "event" VALUES(25,'event-025','VideoChanged',4,'{"root":"","path":"four.mp4","size_bytes":4444,"mtime_ns":1779996000000000000,"fingerprint":"print-4b","recorded_at":1779992000,"recorded_offset_min":0,"need":"either","companions":"bb23","probed":4,"text_streams":0}',1780000025,'scan',NULL);
INSERT INTO "event" VALUES(26,'event-026','VideoMoved',3,'{"root":"","path":"films/moved.avi","size_bytes":1003,"mtime_ns":1779995000000000000,"fingerprint":"print-003","title":"moved","folder_tags":["films"],"named":{}}',1780000026,'scan',NULL);
INSERT INTO "event" VALUES(27,'event-027','VideoDescribed',1,'{"companions":"aa12","probed":4,"details":{"own":{"title":"Mine","tags":["own"]}},"read":["own"]}',1780000027,'scan',NULL);
INSERT INTO "event" VALUES(28,'event-028','VideoMissing',6,'{}',1780000028,'scan',NULL);
INSERT INTO "event" VALUES(29,'event-029','VideoDropped',6,'{}',1780000029,'scan',NULL);
INSERT INTO "event" VALUES(30,'event-030','VideoReturned',6,'{"root":"","path":"films/back.mp4","size_bytes":1006,"mtime_ns":1779995000000000000,"fingerprint":"print-006","title":"back","folder_tags":["films"],"named":{},"recorded_at":1779991000,"recorded_offset_min":0}',1780000030,'scan',NULL);
INSERT INTO "event" VALUES(31,'event-031','Rated',7,'{"stars":2}',1780000031,'owner',NULL);
INSERT INTO "event" VALUES(32,'event-032','VideoMissing',7,'{}',1780000032,'scan',NULL);
INSERT INTO "event" VALUES(33,'event-033','VideoDropped',7,'{}',1780000033,'scan',NULL);
INSERT INTO "event" VALUES(34,'event-034','VideoForgotten',7,'{}',1780000034,'scan',NULL);
INSERT INTO "event" VALUES(35,'event-035','VideoMissing',9,'{}',1780000035,'scan',NULL);
INSERT INTO "event" VALUES(36,'event-036','VideoDropped',9,'{}',1780000036,'scan',NULL);
INSERT INTO "event" VALUES(37,'event-037','FolderTagged',2,'{"folder_tags":["films","harbor"]}',1780000037,'scan',NULL);
INSERT INTO "event" VALUES(38,'event-038','FileRefused',NULL,'{"root":"","path":"growing.mp4","size_bytes":9,"mtime_ns":1,"stage":"copy","reason":"it is still being copied"}',1780000038,'scan',NULL);
INSERT INTO "event" VALUES(39,'event-039','FileRefused',NULL,'{"root":"","path":"broken.mp4","size_bytes":9,"mtime_ns":1,"stage":"probe","reason":"no video stream"}',1780000039,'scan',NULL);
INSERT INTO "event" VALUES(40,'event-040','FileRefused',NULL,'{"root":"","path":"four.nfo","size_bytes":9,"mtime_ns":1,"stage":"sidecar","reason":"line 1: no element found"}',1780000040,'scan',NULL);
INSERT INTO "event" VALUES(41,'event-041','FileRefused',NULL,'{"root":"","path":"cleared.mp4","size_bytes":9,"mtime_ns":1,"stage":"probe","reason":"x"}',1780000041,'scan',NULL);
INSERT INTO "event" VALUES(42,'event-042','FileCleared',NULL,'{"root":"","path":"cleared.mp4"}',1780000042,'retry',NULL);
INSERT INTO "event" VALUES(43,'event-043','FileCleared',NULL,'{"root":"","path":"four.nfo"}',1780000043,'retry',NULL);
INSERT INTO "event" VALUES(44,'event-044','Rated',1,'{"stars":4}',1780000044,'owner',NULL);
INSERT INTO "event" VALUES(45,'event-045','Rated',2,'{"stars":5}',1780000045,'owner',NULL);
INSERT INTO "event" VALUES(46,'event-046','Unrated',2,'{}',1780000046,'owner',NULL);
INSERT INTO "event" VALUES(47,'event-047','Rated',3,'{"stars":3}',1780000047,'owner',1780000500000000);
INSERT INTO "event" VALUES(48,'event-048','Rated',3,'{"stars":1}',1780000048,'owner',1780000499999991);
INSERT INTO "event" VALUES(49,'event-049','Rated',1,'{"stars":1,"visitor":"v0"}',1780000049,'visitor',NULL);
INSERT INTO "event" VALUES(50,'event-050','Rated',1,'{"stars":2,"visitor":"v1"}',1780000050,'visitor',NULL);
INSERT INTO "event" VALUES(51,'event-051','Rated',1,'{"stars":3,"visitor":"v2"}',1780000051,'visitor',NULL);
INSERT INTO "event" VALUES(52,'event-052','Rated',1,'{"stars":4,"visitor":"v3"}',1780000052,'visitor',NULL);
INSERT INTO "event" VALUES(53,'event-053','Rated',1,'{"stars":5,"visitor":"v4"}',1780000053,'visitor',NULL);
INSERT INTO "event" VALUES(54,'event-054','Rated',5,'{"stars":5,"visitor":"v9"}',1780000054,'visitor',NULL);
INSERT INTO "event" VALUES(55,'event-055','Unrated',1,'{"visitor":"v0"}',1780000055,'visitor',NULL);
INSERT INTO "event" VALUES(56,'event-056','Favorited',1,'{}',1780000056,'owner',NULL);
INSERT INTO "event" VALUES(57,'event-057','Favorited',2,'{}',1780000057,'owner',NULL);
INSERT INTO "event" VALUES(58,'event-058','Unfavorited',2,'{}',1780000058,'owner',NULL);
INSERT INTO "event" VALUES(59,'event-059','Favorited',3,'{"visitor":"v1"}',1780000059,'visitor',NULL);
INSERT INTO "event" VALUES(60,'event-060','Favorited',4,'{"visitor":"v1"}',1780000060,'visitor',NULL);
INSERT INTO "event" VALUES(61,'event-061','Unfavorited',4,'{"visitor":"v1"}',1780000061,'visitor',NULL);
INSERT INTO "event" VALUES(66,'event-066','Tagged',1,'{"names":["dog","beach"]}',1780000066,'owner',NULL);
INSERT INTO "event" VALUES(67,'event-067','Untagged',1,'{"names":["sea"]}',1780000067,'owner',NULL);
INSERT INTO "event" VALUES(68,'event-068','Retagged',3,'{"names":["boat"]}',1780000068,'owner',NULL);
INSERT INTO "event" VALUES(69,'event-069','Tagged',3,'{"names":["by-queue"]}',1780000069,'owner',1780000500000007);
INSERT INTO "event" VALUES(70,'event-070','Viewed',1,'{}',1780000070,'visitor',NULL);
INSERT INTO "event" VALUES(71,'event-071','Viewed',3,'{}',1780000071,'visitor',NULL);
INSERT INTO "event" VALUES(72,'event-072','VideoMissing',5,'{}',1780000072,'scan',NULL);
INSERT INTO "event" VALUES(73,'event-073','VideoMerged',5,'{"into":1}',1780000073,'scan',NULL);
INSERT INTO "event" VALUES(74,'event-074','RebuildAsked',NULL,'{"full":true}',1780000074,'owner',NULL);
CREATE TABLE fact (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO "fact" VALUES('ended/session-1','1880000000');
INSERT INTO "fact" VALUES('identity','d7c1f4900a2e1015b2bda4774c4d63e3');
INSERT INTO "fact" VALUES('thinned','67');
CREATE TABLE favorite (video INTEGER PRIMARY KEY, at INTEGER NOT NULL) STRICT;
INSERT INTO "favorite" VALUES(1,1780000056);
CREATE TABLE field (
        video INTEGER NOT NULL, name TEXT NOT NULL, source TEXT NOT NULL, value ANY NOT NULL,
        PRIMARY KEY (video, name, source)
    ) STRICT, WITHOUT ROWID;
INSERT INTO "field" VALUES(1,'description','nfo','It *is*.');
INSERT INTO "field" VALUES(1,'recorded_at','file',1779991000);
INSERT INTO "field" VALUES(1,'recorded_offset_min','file',0);
INSERT INTO "field" VALUES(1,'title','file','one');
INSERT INTO "field" VALUES(1,'title','nfo','The first');
INSERT INTO "field" VALUES(1,'title','own','Mine');
INSERT INTO "field" VALUES(2,'recorded_at','file',1779991000);
INSERT INTO "field" VALUES(2,'recorded_offset_min','file',0);
INSERT INTO "field" VALUES(2,'title','file','two');
INSERT INTO "field" VALUES(2,'tracks','embedded','[["en","English",false,false,"t1"]]');
INSERT INTO "field" VALUES(3,'recorded_at','file',1779991000);
INSERT INTO "field" VALUES(3,'recorded_offset_min','file',0);
INSERT INTO "field" VALUES(3,'title','file','moved');
INSERT INTO "field" VALUES(4,'recorded_at','file',1779992000);
INSERT INTO "field" VALUES(4,'recorded_offset_min','file',0);
INSERT INTO "field" VALUES(4,'title','file','four');
INSERT INTO "field" VALUES(6,'recorded_at','file',1779991000);
INSERT INTO "field" VALUES(6,'recorded_offset_min','file',0);
INSERT INTO "field" VALUES(6,'title','file','back');
INSERT INTO "field" VALUES(8,'recorded_at','file',1779991000);
INSERT INTO "field" VALUES(8,'recorded_offset_min','file',0);
INSERT INTO "field" VALUES(8,'title','file','odd');
INSERT INTO "field" VALUES(8,'tracks','embedded','[["de","Deutsch",false,false,"t2"]]');
INSERT INTO "field" VALUES(9,'recorded_at','file',1779991000);
INSERT INTO "field" VALUES(9,'recorded_offset_min','file',0);
INSERT INTO "field" VALUES(9,'title','file','late');
INSERT INTO "field" VALUES(10,'recorded_at','file',1779991000);
INSERT INTO "field" VALUES(10,'recorded_offset_min','file',0);
INSERT INTO "field" VALUES(10,'title','file','again');
CREATE TABLE problem (
        root TEXT NOT NULL, path ANY NOT NULL, size_bytes INTEGER NOT NULL,
        mtime_ns INTEGER NOT NULL, stage TEXT NOT NULL, reason TEXT NOT NULL,
        at INTEGER NOT NULL, PRIMARY KEY (root, path)
    ) STRICT, WITHOUT ROWID;
INSERT INTO "problem" VALUES('','broken.mp4',9,1,'probe','no video stream',1780000039);
INSERT INTO "problem" VALUES('','films/three.avi',1002,1779995000000000000,'poster','the decoder crashed (signal 11)',1780000013);
INSERT INTO "problem" VALUES('','growing.mp4',9,1,'copy','it is still being copied',1780000038);
CREATE TABLE rating (
        video INTEGER PRIMARY KEY, stars INTEGER NOT NULL, at INTEGER NOT NULL
    ) STRICT;
INSERT INTO "rating" VALUES(1,4,1780000044);
INSERT INTO "rating" VALUES(3,3,1780000047);
CREATE TABLE score (
        video INTEGER PRIMARY KEY, votes INTEGER NOT NULL, total INTEGER NOT NULL,
        tenths INTEGER NOT NULL
    ) STRICT;
INSERT INTO "score" VALUES(1,5,19,35);
CREATE TABLE tag (
        video INTEGER NOT NULL, name TEXT NOT NULL, source TEXT NOT NULL,
        removed INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (video, name, source)
    ) STRICT, WITHOUT ROWID;
INSERT INTO "tag" VALUES(1,'beach','user',0);
INSERT INTO "tag" VALUES(1,'dog','user',0);
INSERT INTO "tag" VALUES(1,'films','folder',0);
INSERT INTO "tag" VALUES(1,'own','own',0);
INSERT INTO "tag" VALUES(1,'sea','nfo',0);
INSERT INTO "tag" VALUES(1,'sea','user',1);
INSERT INTO "tag" VALUES(2,'films','folder',0);
INSERT INTO "tag" VALUES(2,'harbor','folder',0);
INSERT INTO "tag" VALUES(3,'boat','user',0);
INSERT INTO "tag" VALUES(3,'by-queue','user',0);
INSERT INTO "tag" VALUES(3,'films','folder',0);
INSERT INTO "tag" VALUES(3,'films','user',1);
INSERT INTO "tag" VALUES(6,'films','folder',0);
CREATE TABLE token (
        id TEXT PRIMARY KEY, name TEXT NOT NULL, digest TEXT NOT NULL UNIQUE,
        created_at INTEGER NOT NULL, revoked_at INTEGER
    ) STRICT, WITHOUT ROWID;
INSERT INTO "token" VALUES('tok1','phone','cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd',1780000000,NULL);
CREATE TABLE video (
        id INTEGER PRIMARY KEY, slug TEXT NOT NULL, root TEXT NOT NULL,
        path ANY NOT NULL, -- TEXT; a BLOB where the name is not UTF-8
        title TEXT NOT NULL, added_at INTEGER NOT NULL, recorded_at INTEGER NOT NULL,
        size_bytes INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, fingerprint TEXT NOT NULL,
        container TEXT NOT NULL, duration_s REAL, width_px INTEGER, height_px INTEGER, fps REAL,
        video_codec TEXT, audio_codec TEXT,
        poster TEXT, -- JSON: digest, widths_px, width_px, height_px, colour
        missing_at INTEGER, -- since when its file is gone
        dropped INTEGER NOT NULL DEFAULT 0 -- 1: its pages are gone too
    , description TEXT NOT NULL DEFAULT '', is_markdown INTEGER NOT NULL DEFAULT 0, creator TEXT NOT NULL DEFAULT '', url TEXT NOT NULL DEFAULT '', chapters TEXT, tracks TEXT, codecs TEXT NOT NULL DEFAULT '', pixel_format TEXT, fast_start INTEGER, text_streams INTEGER NOT NULL DEFAULT 0, probed INTEGER NOT NULL DEFAULT 0, need TEXT NOT NULL DEFAULT '', storyboard TEXT, rendition TEXT, enriched INTEGER NOT NULL DEFAULT 2, rendered INTEGER NOT NULL DEFAULT 0, companions TEXT NOT NULL DEFAULT '', merged_into INTEGER, start_s REAL NOT NULL DEFAULT 0, recorded_offset_min INTEGER, is_dated INTEGER NOT NULL DEFAULT 0, season INTEGER, episode INTEGER, playlist_index INTEGER) STRICT;
INSERT INTO "video" VALUES(1,'one','','one.mp4','Mine',1779999900,1779991000,1000,1779995000000000000,'print-000','mp4',12.5,640,360,25.0,'h264','aac','{"digest":"d1","widths_px":[320,640],"width_px":640,"height_px":360,"colour":"#102030"}',NULL,0,'It *is*.',0,'','',NULL,NULL,'avc1.64001e,mp4a.40.2','yuv420p',1,0,4,'plays','{"digest":"s1","count":12,"columns":4,"tile_width_px":160,"tile_height_px":90}',NULL,3,0,'?',NULL,0.0,0,0,NULL,NULL,NULL);
INSERT INTO "video" VALUES(2,'two','','films/two.mkv','two',1779999901,1779991000,1001,1779995000000000000,'print-001','mp4',12.5,640,360,25.0,'h264','aac','{"digest":"d2","widths_px":[320,640],"width_px":640,"height_px":360,"colour":"#102030"}',NULL,0,'',0,'','',NULL,'[["en","English",false,false,"t1"]]','avc1.64001e,mp4a.40.2','yuv420p',1,2,4,'remux','{"digest":"s2","count":12,"columns":4,"tile_width_px":160,"tile_height_px":90}','{"digest":"r1","size_bytes":77,"made_by":"remux-1","container":"mp4","codecs":"avc1.64001e,mp4a.40.2","is_hls":false}',3,1,'',NULL,0.0,0,0,NULL,NULL,NULL);
INSERT INTO "video" VALUES(3,'three','','films/moved.avi','moved',1779999902,1779991000,1003,1779995000000000000,'print-003','mp4',12.5,640,360,25.0,'h264','aac',NULL,NULL,0,'',0,'','',NULL,NULL,'avc1.64001e,mp4a.40.2','yuv420p',1,0,4,'transcode',NULL,NULL,3,1,'',NULL,0.0,0,0,NULL,NULL,NULL);
INSERT INTO "video" VALUES(4,'four','','four.mp4','four',1779999903,1779992000,4444,1779996000000000000,'print-4b','mp4',12.5,640,360,25.0,'h264','aac',NULL,NULL,0,'',0,'','',NULL,NULL,'avc1.64001e,mp4a.40.2','yuv420p',1,0,4,'either',NULL,NULL,2,0,'?',NULL,0.0,0,0,NULL,NULL,NULL);
INSERT INTO "video" VALUES(5,'copy-of-one','','','copy of one',1779999904,1779991000,1004,1779995000000000000,'','mp4',12.5,640,360,25.0,'h264','aac',NULL,1780000072,1,'',0,'','',NULL,NULL,'avc1.64001e,mp4a.40.2','yuv420p',1,0,4,'',NULL,NULL,3,0,'',1,0.0,0,0,NULL,NULL,NULL);
INSERT INTO "video" VALUES(6,'gone','','films/back.mp4','back',1779999905,1779991000,1006,1779995000000000000,'print-006','mp4',12.5,640,360,25.0,'h264','aac',NULL,NULL,0,'',0,'','',NULL,NULL,'avc1.64001e,mp4a.40.2','yuv420p',1,0,4,'plays',NULL,NULL,2,0,'?',NULL,0.0,0,0,NULL,NULL,NULL);
INSERT INTO "video" VALUES(7,'video','','','',1779999906,1779991000,1006,1779995000000000000,'','mp4',12.5,640,360,25.0,'h264','aac',NULL,1780000032,1,'',0,'','',NULL,NULL,'avc1.64001e,mp4a.40.2','yuv420p',1,0,4,'',NULL,NULL,3,0,'',NULL,0.0,0,0,NULL,NULL,NULL);
INSERT INTO "video" VALUES(8,'odd','',X'6F6464FF2E6D7034','odd',1779999907,1779991000,1007,1779995000000000000,'print-007','mp4',12.5,640,360,25.0,'h264','aac',NULL,NULL,0,'',0,'','',NULL,'[["de","Deutsch",false,false,"t2"]]','avc1.64001e,mp4a.40.2','yuv420p',1,1,4,'plays',NULL,NULL,2,0,'',NULL,0.0,0,0,NULL,NULL,NULL);
INSERT INTO "video" VALUES(9,'late','','late.mp4','late',1779999908,1779991000,1008,1779995000000000000,'print-008','mp4',12.5,640,360,25.0,'h264','aac',NULL,1780000035,1,'',0,'','',NULL,NULL,'avc1.64001e,mp4a.40.2','yuv420p',1,0,4,'plays',NULL,NULL,2,0,'?',NULL,0.0,0,0,NULL,NULL,NULL);
INSERT INTO "video" VALUES(10,'again','','films/again.mp4','again',1779999909,1779991000,1009,1779995000000000000,'print-009','mp4',12.5,640,360,25.0,'h264','aac',NULL,NULL,0,'',0,'','',NULL,NULL,'avc1.64001e,mp4a.40.2','yuv420p',1,1,4,'plays','{"digest":"s3","count":12,"columns":4,"tile_width_px":160,"tile_height_px":90}',NULL,1,0,'?',NULL,0.0,0,0,NULL,NULL,NULL);
CREATE TABLE viewed (
            video INTEGER NOT NULL, day TEXT NOT NULL, count INTEGER NOT NULL,
            PRIMARY KEY (video, day)
        ) STRICT, WITHOUT ROWID;
INSERT INTO "viewed" VALUES(1,'2026-05-28',5);
INSERT INTO "viewed" VALUES(8,'2026-05-28',1);
CREATE TABLE views (
        video INTEGER PRIMARY KEY, count INTEGER NOT NULL, last_at INTEGER NOT NULL
    ) STRICT;
INSERT INTO "views" VALUES(1,6,1780000070);
INSERT INTO "views" VALUES(3,1,1780000071);
INSERT INTO "views" VALUES(8,1,1780000065);
CREATE TABLE visitor_favorite (
        video INTEGER NOT NULL, visitor TEXT NOT NULL, at INTEGER NOT NULL,
        PRIMARY KEY (video, visitor)
    ) STRICT, WITHOUT ROWID;
INSERT INTO "visitor_favorite" VALUES(3,'v1',1780000059);
CREATE TABLE vote (
        video INTEGER NOT NULL, visitor TEXT NOT NULL, stars INTEGER NOT NULL,
        at INTEGER NOT NULL, PRIMARY KEY (video, visitor)
    ) STRICT, WITHOUT ROWID;
INSERT INTO "vote" VALUES(1,'v1',2,1780000050);
INSERT INTO "vote" VALUES(1,'v2',3,1780000051);
INSERT INTO "vote" VALUES(1,'v3',4,1780000052);
INSERT INTO "vote" VALUES(1,'v4',5,1780000053);
INSERT INTO "vote" VALUES(1,'v9',5,1780000054);
CREATE UNIQUE INDEX "idx__sqlite_migrations_migration_set_name"
    ON "_sqlite_migrations" ("migration_set", "name");
CREATE INDEX video_place ON video (root, path);
CREATE INDEX video_fingerprint ON video (fingerprint);
CREATE INDEX video_without_poster ON video (id) WHERE poster IS NULL;
CREATE INDEX video_missing ON video (missing_at) WHERE missing_at IS NOT NULL;
CREATE INDEX event_video ON event (video, seq);
CREATE VIEW shown_tag AS SELECT DISTINCT video, name FROM tag AS here
        WHERE removed = 0 AND NOT EXISTS (
            SELECT 1 FROM tag WHERE video = here.video AND name = here.name AND removed = 1);
CREATE INDEX tag_name ON tag (name);
CREATE INDEX video_companions ON video (root) WHERE companions != '';
CREATE INDEX video_enriched ON video (enriched, added_at)
        WHERE enriched != 3 AND missing_at IS NULL;
CREATE INDEX video_need ON video (need, added_at)
        WHERE need != '' AND rendered = 0 AND missing_at IS NULL;
CREATE INDEX video_probed ON video (probed) WHERE missing_at IS NULL;
CREATE INDEX video_merged ON video (merged_into) WHERE merged_into IS NOT NULL;
CREATE INDEX event_order ON event (video, coalesce(told_us, at * 1000000 + 999999)) WHERE kind IN ('Rated', 'Unrated', 'Favorited', 'Unfavorited', 'Tagged', 'Untagged', 'Retagged');
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('event',74);
COMMIT;
