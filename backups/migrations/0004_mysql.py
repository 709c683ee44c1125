from django.db import migrations, models

from backups.pipeline import engines


class Migration(migrations.Migration):

    dependencies = [
        ('backups', '0003_channels'),
    ]

    operations = [
        migrations.AlterField(
            model_name='database',
            name='engine',
            field=models.CharField(choices=engines.choices, default='postgres', max_length=20),
        ),
        migrations.AlterField(
            model_name='database',
            name='host',
            field=models.CharField(default='127.0.0.1', help_text='Host name, address or path of a socket', max_length=255),
        ),
        migrations.AlterField(
            model_name='database',
            name='port',
            field=models.PositiveIntegerField(blank=True, help_text="Left out: the engine's usual one"),
        ),
        migrations.AlterField(
            model_name='database',
            name='sslmode',
            field=models.CharField(blank=True, help_text="How TLS is used, in the engine's own words", max_length=20),
        ),
    ]
